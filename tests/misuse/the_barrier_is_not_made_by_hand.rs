//! Only the seal opens the barrier.
fn main() {
    let _ = goldfin::seal::barrier::Barrier::new(unimplemented!(), unimplemented!(), unimplemented!());
}
