//! The typed operations on secrets.

use std::sync::Arc;

use goldfin_crypto::Plaintext;

use crate::model::action::Action;
use crate::model::mount::Mount;
use crate::model::operation::{Circumstances, Operation, Resource, ResourceKind};

use super::settings::SettingsChange;
use super::versions::MetadataChange;

#[derive(Debug)]
pub struct Op {
    pub(super) mount: Arc<Mount>,
    /// The secret's own path, without `data/` or the like; for a listing the folder, without slash at its end.
    pub(super) path: String,
    pub(super) purpose: Option<String>,
    /// Members of the body that nobody knows.
    pub(super) unknown: usize,
    pub(super) task: Task,
}

#[derive(Debug)]
pub(super) enum Task {
    /// 0 is the current version.
    Read {
        version: i64,
    },
    /// The value as the JSON text that will be stored.
    Write {
        data: Plaintext,
        cas: Option<i64>,
    },
    /// The merge patch as JSON text: it is applied anew when the operation lost a race.
    Patch {
        patch: Plaintext,
        cas: Option<i64>,
    },
    DeleteCurrent,
    Delete {
        versions: Vec<i64>,
    },
    Undelete {
        versions: Vec<i64>,
    },
    Destroy {
        versions: Vec<i64>,
    },
    Subkeys {
        version: i64,
        depth: u64,
    },
    List,
    ReadMetadata,
    WriteMetadata {
        change: MetadataChange,
    },
    /// Like a write, but only of a secret that is there.
    PatchMetadata {
        change: MetadataChange,
    },
    DeleteMetadata,
    ReadSettings,
    WriteSettings {
        change: SettingsChange,
    },
}

impl Operation for Op {
    fn action(&self) -> Action {
        match &self.task {
            Task::Read { .. } => Action::ReadSecret,
            Task::Write { .. } | Task::Patch { .. } => Action::WriteSecret,
            Task::DeleteCurrent | Task::Delete { .. } => Action::DeleteSecret,
            Task::Undelete { .. } => Action::UndeleteSecret,
            Task::Destroy { .. } | Task::DeleteMetadata => Action::DestroySecret,
            Task::List => Action::ListSecrets,
            Task::ReadMetadata | Task::Subkeys { .. } => Action::ReadSecretMetadata,
            Task::WriteMetadata { .. } | Task::PatchMetadata { .. } => Action::WriteSecretMetadata,
            Task::ReadSettings => Action::ReadSetting,
            Task::WriteSettings { .. } => Action::WriteSetting,
        }
    }

    fn resource(&self) -> Resource {
        match &self.task {
            Task::ReadSettings | Task::WriteSettings { .. } => Resource::within(ResourceKind::Setting, &self.mount.path, "config"),
            _ => Resource::within(ResourceKind::Secret, &self.mount.path, &self.path),
        }
    }

    fn circumstances(&self) -> Circumstances {
        Circumstances { purpose: self.purpose.clone(), batch_size: 1, ..Circumstances::default() }
    }
}
