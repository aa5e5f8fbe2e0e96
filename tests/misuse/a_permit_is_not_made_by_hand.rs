//! A permit comes from `Rules::authorize` and from nowhere else.
use goldfin::policy::authorized::Authorized;

fn permit<Op, Inside>(inside: Inside) -> Authorized<Op> {
    Authorized(inside)
}

fn main() {}
