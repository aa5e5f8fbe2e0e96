pub mod audit {
    pub mod receipt;
}
pub mod auth;
pub mod gate;
pub mod http;
pub mod model;
pub mod store;
