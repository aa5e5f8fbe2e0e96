//! SQL stays on its floor: the pool is not reachable from above.
fn pool(store: &goldfin::store::Store) {
    let _ = &store.pool;
}

fn main() {}
