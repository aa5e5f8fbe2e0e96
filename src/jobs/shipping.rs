//! Ships the ledger about once a second, where the configuration says where to.

use std::time::Duration;

use crate::model::fault::Fault;

use super::{Job, Workshop};

#[derive(Debug, Clone, Copy)]
pub(super) struct Ship;

impl Job for Ship {
    const NAME: &'static str = "shipping";
    const PERIOD: Duration = Duration::from_secs(1);

    async fn run(self, workshop: Workshop) -> Result<Self, Fault> {
        if let Some(shipping) = &workshop.shipping {
            shipping.advance(&workshop.store, workshop.recorder.stream()).await?;
        }
        Ok(self)
    }
}
