//! The operations of `sys`, one enum per area.

use std::time::Duration;

use crate::engine::keys::RotateOp;
use crate::model::action::Action;
use crate::model::operation::{Circumstances, Operation, PATIENCE, Resource, ResourceKind};

use super::accounts::AccountOp;
use super::capabilities::CapabilityOp;
use super::ledger::LedgerOp;
use super::mounts::MountOp;
use super::policies::PolicyOp;
use super::quotas::QuotaOp;

#[derive(Debug)]
pub enum Op {
    Mounts(MountOp),
    Policies(PolicyOp),
    Accounts(AccountOp),
    Capabilities(CapabilityOp),
    /// The mounts as a user interface or a command line needs them: all, or the one that a path leads to.
    OwnMounts(Option<String>),
    /// The description of the API as an OpenAPI document.
    Api,
    Quotas(QuotaOp),
    Ledger(LedgerOp),
    Keys(RotateOp),
    /// The audit devices of Vault's API: here always one, the ledger.
    AuditDevices,
    /// What this node counted, for Prometheus.
    Metrics,
    Seal,
}

impl Operation for Op {
    fn action(&self) -> Action {
        match self {
            Self::Mounts(op) => op.action(),
            Self::Policies(op) => op.action(),
            Self::Accounts(op) => op.action(),
            Self::Capabilities(op) => op.action(),
            Self::OwnMounts(_) => Action::ListOwnMounts,
            Self::Api => Action::ReadApi,
            Self::Quotas(op) => op.action(),
            Self::Ledger(op) => op.action(),
            Self::Keys(op) => op.action(),
            Self::AuditDevices | Self::Metrics => Action::ReadServerStatus,
            Self::Seal => Action::Seal,
        }
    }

    fn resource(&self) -> Resource {
        match self {
            Self::Mounts(op) => op.resource(),
            Self::Policies(op) => op.resource(),
            Self::Accounts(op) => op.resource(),
            Self::Capabilities(op) => op.resource(),
            Self::OwnMounts(_) | Self::Api => Resource::new(ResourceKind::Mount, "*"),
            Self::Quotas(op) => op.resource(),
            Self::Ledger(_) => Resource::new(ResourceKind::Ledger, "ledger"),
            Self::Keys(op) => op.resource(),
            Self::AuditDevices => Resource::new(ResourceKind::Server, "audit"),
            Self::Metrics => Resource::new(ResourceKind::Server, "metrics"),
            Self::Seal => Resource::new(ResourceKind::Server, "server"),
        }
    }

    fn patience(&self) -> Duration {
        match self {
            Self::Ledger(op) => op.patience(),
            _ => None,
        }
        .unwrap_or(PATIENCE)
    }

    fn circumstances(&self) -> Circumstances {
        let grants = match self {
            Self::Accounts(op) => op.grants().to_vec(),
            _ => Vec::new(),
        };
        Circumstances { batch_size: 1, grants, ..Circumstances::default() }
    }
}
