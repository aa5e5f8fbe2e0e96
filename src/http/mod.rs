//! Floor 8: the network. Bytes become a [`Request`], a [`Released`] becomes bytes.
//!
//! It decides nothing about who may do what, keeps no state between requests, and holds no handle but the gate's. Whatever can be
//! understood is handed to the gate, refusals included, because a refusal has an entry too. Three things are answered without it: what
//! hyper itself cannot read (400, 414 or 431, and the connection closes), [`probe`], and a connection that is cut by its [`limits`].

pub mod body;
mod connection;
pub mod fault;
mod framing;
pub mod limits;
pub mod probe;
mod pulse;
mod query;
pub mod reply;
pub mod request;
pub mod server;
pub mod tls;
mod wire;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use crate::gate::SealState;
use crate::gate::released::Released;
use crate::gate::request::Request;

/// What stands behind the network: the gate; in tests a stand-in.
pub trait Answers: Send + Sync + 'static {
    fn call(self: &Arc<Self>, request: Box<Request>) -> impl Future<Output = Released> + Send;

    /// What strangers may know of the server, see [`probe`].
    fn seal_state(&self) -> SealState;

    /// The answer to a stranger whose source was refused too often: before the body is read.
    fn turn_away(&self, _address: IpAddr) -> Option<Released> {
        None
    }
}

impl Answers for crate::gate::Gate {
    async fn call(self: &Arc<Self>, request: Box<Request>) -> Released {
        Self::call(self, request).await
    }

    fn seal_state(&self) -> SealState {
        Self::seal_state(self)
    }

    fn turn_away(&self, address: IpAddr) -> Option<Released> {
        Self::turn_away(self, address)
    }
}
