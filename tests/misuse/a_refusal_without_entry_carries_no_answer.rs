//! What leaves unrecorded is a fault: there is no way to put a reply in.
use goldfin::gate::released::Released;
use goldfin::model::reply::Reply;

fn release(request: goldfin::model::id::RequestId) -> Released {
    Released::unrecorded(request, Reply::nothing())
}

fn main() {}
