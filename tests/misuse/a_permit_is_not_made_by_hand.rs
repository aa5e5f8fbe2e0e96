//! A permit comes from `Rules::authorize` and from nowhere else.
use goldfin::policy::authorized::Authorized;

fn permit<Op>(op: Op, principal: std::sync::Arc<goldfin::auth::principal::Principal>, decision: goldfin::policy::decision::Decision) -> Authorized<Op> {
    Authorized { op, principal, decision }
}

fn main() {}
