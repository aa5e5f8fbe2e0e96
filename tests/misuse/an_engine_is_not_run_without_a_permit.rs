//! An operation alone is not enough.
use goldfin::engine::Engine;
use goldfin::store::work::Work;

async fn run<E: Engine>(engine: &E, op: E::Op, work: &mut Work) {
    let _ = engine.run(&op, work).await;
}

fn main() {}
