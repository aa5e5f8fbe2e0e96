//! A caller is proven by the authenticator, never declared.
use std::sync::Arc;

fn main() {
    let row: goldfin::store::auth_token::AuthTokenRow = unimplemented!();
    let _ = goldfin::auth::principal::Principal::account(Arc::new(row), None);
}
