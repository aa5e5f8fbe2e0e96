//! `config` of a transform mount: what holds for its transformations unless they say otherwise.

use serde::{Deserialize, Serialize};

use crate::model::change::Change;
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::id::MountId;
use crate::model::members::Members;
use crate::model::reply::Reply;
use crate::store::control::{self, ControlKey, ControlKind};
use crate::store::directory::Snapshot;
use crate::store::work::Work;

use super::Transform;
use super::config::Transformation;
use super::limits::Harm;
use super::settings::{read_body, read_purposes, write_body};

/// The name of the row, and of the path.
pub(super) const CONFIG: &str = "config";

#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub(super) struct MountConfig {
    /// The purposes of transformations that list none of their own.
    #[serde(default)]
    pub purposes: Vec<String>,
    /// Of transformations that have no limit of their own; 0 is none.
    #[serde(default)]
    pub max_encoded_per_hour: u64,
    #[serde(default)]
    pub max_revealed_per_hour: u64,
}

/// What a body says about it; what it leaves out stays as it is.
#[derive(Debug, Default)]
pub(super) struct MountDraft {
    purposes: Option<Vec<String>>,
    max_encoded_per_hour: Option<u64>,
    max_revealed_per_hour: Option<u64>,
}

pub(super) fn read_draft(members: &mut Members) -> Result<MountDraft, Fault> {
    Ok(MountDraft {
        purposes: read_purposes(members)?,
        max_encoded_per_hour: read_limit(members, "max_encoded_per_hour")?,
        max_revealed_per_hour: read_limit(members, "max_revealed_per_hour")?,
    })
}

/// A number of values an hour.
pub(super) fn read_limit(members: &mut Members, name: &'static str) -> Result<Option<u64>, Fault> {
    match members.whole(name)? {
        Some(limit) if limit > 1_000_000_000_000 => Err(members.wrong(name, "must be at most 1,000,000,000,000; 0 for none")),
        limit => Ok(limit),
    }
}

/// The mount's configuration as it stands; nothing is configured where there is no row.
pub(super) fn of_mount(snapshot: &Snapshot, mount: MountId) -> Result<std::sync::Arc<MountConfig>, Fault> {
    Ok(snapshot.get::<MountConfig>(ControlKind::Config, mount, CONFIG)?.unwrap_or_default())
}

impl MountConfig {
    /// The limit that holds for a transformation; 0 is none.
    pub(super) fn limit(&self, transformation: &Transformation, harm: Harm) -> u64 {
        let (own, of_mount) = match harm {
            Harm::Encoded => (transformation.max_encoded_per_hour, self.max_encoded_per_hour),
            Harm::Revealed => (transformation.max_revealed_per_hour, self.max_revealed_per_hour),
        };
        if own == 0 { of_mount } else { own }
    }

    fn to_node(&self) -> Node {
        let number = |number: u64| Node::Number(number.to_string().into_boxed_str());
        Node::object([
            ("max_encoded_per_hour", number(self.max_encoded_per_hour)),
            ("max_revealed_per_hour", number(self.max_revealed_per_hour)),
            ("purposes", Node::texts(self.purposes.iter().cloned())),
        ])
    }
}

impl Transform {
    pub(super) fn read_mount_config(&self, mount: MountId) -> Result<Reply, Fault> {
        Ok(Reply::data(of_mount(&self.snapshot(), mount)?.to_node()))
    }

    pub(super) async fn write_mount_config(&self, work: &mut Work, draft: &MountDraft) -> Result<Reply, Fault> {
        let key = ControlKey::new(ControlKind::Config, work.mount_id(), CONFIG);
        let mac = self.tools.barrier.control();
        let stored = control::lock(work, mac, &key).await?;
        let before = stored.as_ref().map_or(0, |row| row.version);
        let mut config: MountConfig = stored.map(|row| read_body(&row.body)).transpose()?.unwrap_or_default();
        if let Some(purposes) = &draft.purposes {
            config.purposes.clone_from(purposes);
        }
        config.max_encoded_per_hour = draft.max_encoded_per_hour.unwrap_or(config.max_encoded_per_hour);
        config.max_revealed_per_hour = draft.max_revealed_per_hour.unwrap_or(config.max_revealed_per_hour);
        control::put(work, mac, &key, before, &write_body(&config)?).await?;
        Ok(Reply::nothing().then(Change::Directory))
    }
}
