//! Only the recorder says that an entry is on disk.
fn main() {
    let _ = goldfin::audit::receipt::Receipt::new(goldfin::model::id::StreamId(1), 1, [0; 32]);
}
