//! A permit is for one operation: the recorder's bracket uses it up.
use goldfin::policy::authorized::Authorized;

fn twice<Op>(permit: Authorized<Op>) -> (Authorized<Op>, Authorized<Op>) {
    (permit.clone(), permit)
}

fn main() {}
