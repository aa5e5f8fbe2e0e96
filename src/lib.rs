pub mod auth;
pub mod dev;
pub mod model;
pub mod store;
