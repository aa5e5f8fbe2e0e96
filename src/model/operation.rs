//! What an engine's typed operation must be able to say of itself: what is done, to what, and in which circumstances.

use std::time::Duration;

use super::action::Action;

/// The thing that an operation touches, as policies and entries name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    pub kind: ResourceKind,
    /// The full canonical path or name: `secret/app/db`, `transform/ssn`, `vetassist`.
    pub id: String,
    /// The mount that it lives under, for the kinds that have one.
    pub mount: Option<String>,
    /// The class of personal data, for transformations.
    pub class: Option<String>,
}

/// The entity types of `policies/schema.cedarschema`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    Secret,
    Transformation,
    Subject,
    Setting,
    Account,
    AuthToken,
    Policy,
    Mount,
    Ledger,
    Server,
}

impl ResourceKind {
    pub const ALL: &'static [Self] = &[
        Self::Secret,
        Self::Transformation,
        Self::Subject,
        Self::Setting,
        Self::Account,
        Self::AuthToken,
        Self::Policy,
        Self::Mount,
        Self::Ledger,
        Self::Server,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::Transformation => "Transformation",
            Self::Subject => "Subject",
            Self::Setting => "Setting",
            Self::Account => "Account",
            Self::AuthToken => "AuthToken",
            Self::Policy => "Policy",
            Self::Mount => "Mount",
            Self::Ledger => "Ledger",
            Self::Server => "Server",
        }
    }
}

impl Resource {
    pub fn new(kind: ResourceKind, id: impl Into<String>) -> Self {
        Self { kind, id: id.into(), mount: None, class: None }
    }

    /// Something below a mount: its id is `mount/tail`, or the mount itself where the tail is empty.
    #[must_use]
    pub fn within(kind: ResourceKind, mount: &str, tail: &str) -> Self {
        let id = if tail.is_empty() { mount.to_owned() } else { [mount, "/", tail].concat() };
        Self { kind, id, mount: Some(mount.to_owned()), class: None }
    }

    #[must_use]
    pub fn with_class(mut self, class: Option<String>) -> Self {
        self.class = class;
        self
    }
}

/// The circumstances that a policy may ask about, as far as the operation knows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// Why the caller reveals.
    pub purpose: Option<String>,
    /// How many values the request concerns; 1 for a single one.
    pub batch_size: u64,
    /// What is handed on to others by the operation: groups of a new token, of an account, of a role. Nobody hands on a right that is not theirs.
    pub grants: Vec<String>,
}

/// What an operation says of itself, asked once, before it is decided.
#[derive(Debug)]
pub struct About {
    pub action: Action,
    pub resource: Resource,
    pub circumstances: Circumstances,
}

impl About {
    #[must_use]
    pub fn of(op: &impl Operation) -> Self {
        Self { action: op.action(), resource: op.resource(), circumstances: op.circumstances() }
    }
}

/// How long an operation may take that says nothing else.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// One typed operation of one engine.
pub trait Operation: Send + Sync + 'static {
    fn action(&self) -> Action;
    fn resource(&self) -> Resource;
    fn circumstances(&self) -> Circumstances {
        Circumstances { batch_size: 1, ..Circumstances::default() }
    }
    /// What the entry says of the purpose: a word that no list holds is the caller's own text.
    fn recorded_purpose(&self) -> Option<String> {
        self.circumstances().purpose
    }
    /// How long it may take before its caller is told to try again. A database that does not answer must not hold requests for ever.
    fn patience(&self) -> Duration {
        PATIENCE
    }
    /// The resources of a request that touches several, each decided by itself: the permit tells which are refused, and it is denied
    /// where all are. None for every other operation; then [`Operation::resource`] decides.
    fn parts(&self) -> Vec<Resource> {
        Vec::new()
    }
}
