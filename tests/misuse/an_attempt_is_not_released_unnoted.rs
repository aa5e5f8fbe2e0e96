//! What happens while sealed leaves only after it was noted for the ledger.
use goldfin::gate::released::Released;
use goldfin::model::reply::Reply;

fn release(request: goldfin::model::id::RequestId) -> Released {
    Released::deferred(request, Ok(Reply::nothing()), ())
}

fn main() {}
