//! Once a minute, an entry for each source that was refused too often to have one for each refusal.

use std::time::Duration;

use crate::model::fault::Fault;

use super::{Job, Workshop};

#[derive(Debug, Clone, Copy)]
pub(super) struct Strangers;

impl Job for Strangers {
    const NAME: &'static str = "strangers";
    const PERIOD: Duration = Duration::from_secs(60);

    async fn run(self, workshop: Workshop) -> Result<Self, Fault> {
        workshop.strangers.record(&workshop.recorder, &workshop.clock).await?;
        Ok(self)
    }
}
