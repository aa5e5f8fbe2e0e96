pub mod model;
pub mod store;
pub mod auth;
pub mod policy;
