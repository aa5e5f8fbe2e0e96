//! Roles, transformations and their keys: reading a body, and carrying it out.

use goldfin_crypto::TokenFormat;

use crate::model::action::Action;
use crate::model::call::checked_name;
use crate::model::change::Change;
use crate::model::document::Node;
use crate::model::fault::{Complaint, Fault};
use crate::model::id::MountId;
use crate::model::members::Members;
use crate::model::path::is_name;
use crate::model::reply::Reply;
use crate::store::control::{self, ControlKey, ControlKind};
use crate::store::error::StoreError;
use crate::store::work::Work;
use crate::store::{removed, transform};

use super::Transform;
use super::config::{MappingMode, Role, Transformation, matches_glob};
use super::form::settings::{FormDraft, Kind};
use super::form::stored::FormOp;
use super::keys::{format, new_key};
use super::mount_config::{CONFIG, MountDraft, read_limit};
use super::place::TransformKeyPlace;

/// The most names in one list of a setting.
const MOST: usize = 1000;

/// Members of a transformation that mean nothing where nothing is stored.
const TOKENIZATION_ONLY: [&str; 7] = ["mapping_mode", "convergent", "max_ttl", "deletion_allowed", "prefix", "per_value_audit", "stores"];

#[derive(Debug)]
pub(super) enum SettingOp {
    ReadConfig,
    WriteConfig(MountDraft),
    ReadRole(String),
    WriteRole(String, Option<Vec<String>>),
    DeleteRole(String),
    ListRoles(Option<String>),
    ReadTransformation(Kind, String),
    WriteTransformation(String, Box<Draft>),
    DeleteTransformation(Kind, String),
    /// Without a type, those of all types.
    ListTransformations {
        filter: Option<String>,
        kind: Option<Kind>,
    },
    /// Templates and alphabets.
    Form(FormOp),
    ReadKey(String),
    ListKeys(Option<String>),
    RotateKey(String),
    /// The new `min_decryption_version`.
    ConfigureKey(String, u32),
    /// The new `min_available_version`.
    TrimKey(String, u32),
}

/// What a body says about a transformation; what it leaves out stays as it is.
#[derive(Debug, Default)]
pub(super) struct Draft {
    mapping_mode: Option<MappingMode>,
    convergent: Option<bool>,
    per_value_audit: Option<bool>,
    max_ttl: Option<u64>,
    allowed_roles: Option<Vec<String>>,
    deletion_allowed: Option<bool>,
    /// `Some(None)` takes it away.
    class: Option<Option<String>>,
    prefix: Option<String>,
    purposes: Option<Vec<String>>,
    form: FormDraft,
    max_encoded_per_hour: Option<u64>,
    max_revealed_per_hour: Option<u64>,
}

impl SettingOp {
    pub(super) fn action(&self) -> Action {
        match self {
            Self::Form(form) => form.action(),
            Self::ReadConfig | Self::ReadRole(_) | Self::ReadTransformation(..) | Self::ReadKey(_) => Action::ReadSetting,
            Self::WriteConfig(_) | Self::WriteRole(..) | Self::WriteTransformation(..) => Action::WriteSetting,
            Self::DeleteRole(_) | Self::DeleteTransformation(..) => Action::DeleteSetting,
            Self::ListRoles(_) | Self::ListTransformations { .. } | Self::ListKeys(_) => Action::ListSettings,
            Self::RotateKey(_) | Self::ConfigureKey(..) | Self::TrimKey(..) => Action::RotateSetting,
        }
    }

    /// The one place below the mount, whichever of its paths a request used.
    pub(super) fn place(&self) -> String {
        match self {
            Self::ReadConfig | Self::WriteConfig(_) => CONFIG.to_owned(),
            Self::ReadRole(name) | Self::WriteRole(name, _) | Self::DeleteRole(name) => format!("role/{name}"),
            Self::ListRoles(_) => "role".to_owned(),
            Self::ReadTransformation(kind, name) | Self::DeleteTransformation(kind, name) => {
                format!("transformations/{}/{name}", kind.name())
            }
            Self::WriteTransformation(name, draft) => format!("transformations/{}/{name}", draft.form.kind.name()),
            Self::ListTransformations { kind: None, .. } => "transformations".to_owned(),
            Self::ListTransformations { kind: Some(kind), .. } => format!("transformations/{}", kind.name()),
            Self::Form(form) => form.place(),
            Self::ReadKey(name) | Self::RotateKey(name) | Self::ConfigureKey(name, _) | Self::TrimKey(name, _) => {
                format!("tokenization/keys/{name}")
            }
            Self::ListKeys(_) => "tokenization/keys".to_owned(),
        }
    }
}

/// Reads `transformations[]` of a role.
pub(super) fn read_role(members: &mut Members) -> Result<Option<Vec<String>>, Fault> {
    names(members, "transformations", is_name)
}

/// Reads a transformation's body. Members that concern other types are taken and mean nothing here, as in Vault.
pub(super) fn read_draft(members: &mut Members, typed: Option<Kind>) -> Result<Draft, Fault> {
    let form = FormDraft::read(members, typed)?;
    if form.kind != Kind::Tokenization {
        for foreign in TOKENIZATION_ONLY {
            drop(members.take(foreign));
        }
    }
    if members.words("stores")?.is_some_and(|stores| stores.iter().any(|store| store != "builtin/internal")) {
        return Err(members.wrong("stores", "must be `builtin/internal`, goldfin stores tokens itself"));
    }
    let mapping_mode = match members.word("mapping_mode")?.filter(|mode| !mode.is_empty()) {
        None => None,
        Some(mode) => {
            Some(MappingMode::from_name(&mode).ok_or_else(|| members.wrong("mapping_mode", "must be `default` or `exportable`"))?)
        }
    };
    let class = match members.word("class")? {
        Some(class) if class.is_empty() => Some(None),
        Some(class) if is_name(&class) && class.len() <= 64 => Some(Some(class)),
        Some(_) => return Err(members.wrong("class", "must be a name of at most 64 characters")),
        None => None,
    };
    Ok(Draft {
        mapping_mode,
        convergent: members.flag("convergent")?,
        per_value_audit: members.flag("per_value_audit")?,
        max_ttl: members.duration("max_ttl")?.map(|span| span.as_secs()),
        allowed_roles: names(members, "allowed_roles", |pattern| pattern == "*" || is_name(&pattern.replace('*', "x")))?,
        deletion_allowed: members.flag("deletion_allowed")?,
        class,
        prefix: members.word("prefix")?.filter(|prefix| !prefix.is_empty()),
        purposes: read_purposes(members)?,
        max_encoded_per_hour: read_limit(members, "max_encoded_per_hour")?,
        max_revealed_per_hour: read_limit(members, "max_revealed_per_hour")?,
        form,
    })
}

/// Reads a list of purposes.
pub(super) fn read_purposes(members: &mut Members) -> Result<Option<Vec<String>>, Fault> {
    names(members, "purposes", |purpose| is_name(purpose) && purpose.len() <= 64)
}

/// A version of a key out of a body.
pub(super) fn read_version(members: &mut Members, name: &'static str) -> Result<u32, Fault> {
    let version = members.whole(name)?.ok_or_else(|| members.missing(name))?;
    match u32::try_from(version) {
        Ok(version) if version > 0 => Ok(version),
        _ => Err(members.wrong(name, "must be a version, from 1")),
    }
}

fn names(members: &mut Members, member: &'static str, sound: impl Fn(&str) -> bool) -> Result<Option<Vec<String>>, Fault> {
    let Some(mut names) = members.words(member)? else { return Ok(None) };
    if names.len() > MOST || !names.iter().all(|name| sound(name)) {
        return Err(members.wrong(member, "must be a list of at most 1,000 names of letters, digits and `._@+=:-`"));
    }
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Ok(Some(names))
}

impl Transform {
    pub(super) async fn settle(&self, setting: &SettingOp, unknown: usize, work: &mut Work) -> Result<Reply, Fault> {
        let mount = work.mount_id();
        match setting {
            SettingOp::ReadConfig => self.read_mount_config(mount),
            SettingOp::WriteConfig(draft) => self.write_mount_config(work, draft).await,
            SettingOp::ReadRole(name) => {
                let role = self.snapshot().get::<Role>(ControlKind::Role, mount, name)?.ok_or_else(no_role)?;
                Ok(Reply::data(Node::object([("transformations", Node::texts(role.transformations.iter().cloned()))])))
            }
            SettingOp::WriteRole(name, transformations) => self.write_role(work, name, transformations.as_deref()).await,
            SettingOp::DeleteRole(name) => {
                control::delete(work, self.tools.barrier.control(), &ControlKey::new(ControlKind::Role, mount, name)).await?;
                Ok(Reply::nothing().then(Change::Directory))
            }
            SettingOp::ListRoles(filter) => self.names(ControlKind::Role, mount, filter.as_deref()),
            SettingOp::ReadTransformation(kind, name) => {
                let transformation = self.transformation(mount, name)?;
                if transformation.form.kind == *kind { Ok(Reply::data(transformation.to_node())) } else { Err(no_transformation()) }
            }
            SettingOp::Form(form) => self.settle_form(form, work).await,
            SettingOp::WriteTransformation(name, draft) => self.write_transformation(work, name, draft).await,
            SettingOp::DeleteTransformation(kind, name) => self.delete_transformation(work, *kind, name).await,
            SettingOp::ListTransformations { filter, kind } => self.transformations(mount, filter.as_deref(), *kind),
            SettingOp::ListKeys(filter) => self.transformations(mount, filter.as_deref(), Some(Kind::Tokenization)),
            SettingOp::ReadKey(name) => {
                let transformation = self.transformation(mount, name)?;
                refuse_fixed_key(&transformation)?;
                Ok(Reply::data(transformation.keys_node(name)))
            }
            SettingOp::RotateKey(name) => self.rotate(work, name).await,
            SettingOp::ConfigureKey(name, version) => self.configure_key(work, name, *version).await,
            SettingOp::TrimKey(name, version) => self.trim(work, name, *version).await,
        }
        .map(|reply| reply.warn_of_unknown(unknown))
    }

    fn names(&self, kind: ControlKind, mount: MountId, filter: Option<&str>) -> Result<Reply, Fault> {
        let snapshot = self.snapshot();
        Reply::keys(snapshot.names(kind, mount).filter(|name| filter.is_none_or(|filter| matches_glob(filter, name))))
    }

    fn transformations(&self, mount: MountId, filter: Option<&str>, kind: Option<Kind>) -> Result<Reply, Fault> {
        let snapshot = self.snapshot();
        let of_kind = |name: &&str| {
            kind.is_none_or(|kind| {
                let stored = snapshot.get::<Transformation>(ControlKind::Transformation, mount, name);
                stored.ok().flatten().is_none_or(|stored| stored.form.kind == kind)
            })
        };
        let names = snapshot.names(ControlKind::Transformation, mount).filter(of_kind);
        Reply::keys(names.filter(|name| filter.is_none_or(|filter| matches_glob(filter, name))))
    }

    async fn delete_transformation(&self, work: &mut Work, kind: Kind, name: &str) -> Result<Reply, Fault> {
        let key = ControlKey::new(ControlKind::Transformation, work.mount_id(), name);
        match control::lock(work, self.tools.barrier.control(), &key).await {
            Ok(Some(row)) => {
                let stored: Transformation = read_body(&row.body)?;
                if stored.form.kind != kind {
                    // Permitted was the deletion of one of another type.
                    return Err(no_transformation());
                }
                removed::note(work, stored.number).await?;
            }
            // A row that is not honoured can be deleted all the same.
            Ok(None) | Err(StoreError::Integrity(_)) => {}
            Err(error) => return Err(error.into()),
        }
        control::delete(work, self.tools.barrier.control(), &key).await?;
        transform::delete_keys(work, name).await?;
        Ok(Reply::nothing().then(Change::Directory))
    }

    fn transformation(&self, mount: MountId, name: &str) -> Result<std::sync::Arc<Transformation>, Fault> {
        self.snapshot().get::<Transformation>(ControlKind::Transformation, mount, name)?.ok_or_else(no_transformation)
    }

    async fn write_role(&self, work: &mut Work, name: &str, transformations: Option<&[String]>) -> Result<Reply, Fault> {
        let key = ControlKey::new(ControlKind::Role, work.mount_id(), name);
        let mac = self.tools.barrier.control();
        let stored = control::lock(work, mac, &key).await?;
        let before = stored.as_ref().map_or(0, |row| row.version);
        let mut role: Role = stored.map(|row| read_body(&row.body)).transpose()?.unwrap_or_default();
        if let Some(transformations) = transformations {
            role.transformations = transformations.to_vec();
        }
        control::put(work, mac, &key, before, &write_body(&role)?).await?;
        Ok(Reply::nothing().then(Change::Directory))
    }

    async fn write_transformation(&self, work: &mut Work, name: &str, draft: &Draft) -> Result<Reply, Fault> {
        let (mount, now, barrier) = (work.mount_id(), work.now(), &self.tools.barrier);
        let key = ControlKey::new(ControlKind::Transformation, mount, name);
        if let Some(row) = control::lock(work, barrier.control(), &key).await? {
            let mut transformation: Transformation = read_body(&row.body)?;
            draft.refuse_changes(&transformation)?;
            draft.apply(&mut transformation);
            self.check_form(work, &transformation.form).await?;
            control::put(work, barrier.control(), &key, row.version, &write_body(&transformation)?).await?;
            return Ok(Reply::nothing().then(Change::Directory));
        }
        let number = transform::next_number(work).await?;
        let mut transformation = Transformation::new(number, now);
        draft.apply(&mut transformation);
        self.check_form(work, &transformation.form).await?;
        if transformation.form.kind == Kind::Masking {
            // Nothing is ever encrypted with it.
            control::put(work, barrier.control(), &key, 0, &write_body(&transformation)?).await?;
            return Ok(Reply::nothing().then(Change::Directory));
        }
        let place = |version| TransformKeyPlace { mount, transformation: name, number, version };
        let (base, base_row) = new_key(barrier, &place(0))?;
        let _fits: TokenFormat = format(&transformation.prefix, &base)
            .map_err(|_| Fault::Invalid(Complaint::new("must be 1 to 24 letters, digits, `_` or `-`, not `gft` or `gfs`").at("prefix")))?;
        let (_, first_row) = new_key(barrier, &place(1))?;
        transform::insert_key(work, &base_row).await?;
        transform::insert_key(work, &first_row).await?;
        control::put(work, barrier.control(), &key, 0, &write_body(&transformation)?).await?;
        Ok(Reply::nothing().then(Change::Directory))
    }

    /// A new version encrypts from now on; the older ones go on decrypting.
    async fn rotate(&self, work: &mut Work, name: &str) -> Result<Reply, Fault> {
        let (key, before, mut transformation) = self.locked(work, name).await?;
        let version = transformation.latest_version.checked_add(1).ok_or(Fault::Internal("key version"))?;
        let place = TransformKeyPlace { mount: work.mount_id(), transformation: name, number: transformation.number, version };
        let (_, row) = new_key(&self.tools.barrier, &place)?;
        transform::insert_key(work, &row).await?;
        transformation.latest_version = version;
        work.facts.version = Some(i64::from(version));
        control::put(work, self.tools.barrier.control(), &key, before, &write_body(&transformation)?).await?;
        Ok(Reply::nothing().then(Change::Directory))
    }

    async fn configure_key(&self, work: &mut Work, name: &str, version: u32) -> Result<Reply, Fault> {
        let (key, before, mut transformation) = self.locked(work, name).await?;
        if version < transformation.min_available_version || version > transformation.latest_version {
            return Err(Fault::Invalid(
                Complaint::new("must lie between `min_available_version` and `latest_version`").at("min_decryption_version"),
            ));
        }
        transformation.min_decryption_version = version;
        control::put(work, self.tools.barrier.control(), &key, before, &write_body(&transformation)?).await?;
        Ok(Reply::nothing().then(Change::Directory))
    }

    /// Destroys the versions below one that already nobody may decrypt with.
    async fn trim(&self, work: &mut Work, name: &str, version: u32) -> Result<Reply, Fault> {
        let (key, before, mut transformation) = self.locked(work, name).await?;
        if version < transformation.min_available_version || version > transformation.min_decryption_version {
            return Err(Fault::Invalid(
                Complaint::new("must lie between its present value and `min_decryption_version`, raise that first")
                    .at("min_available_version"),
            ));
        }
        transform::delete_keys_below(work, name, i32::try_from(version).map_err(|_| Fault::Internal("key version"))?).await?;
        transformation.min_available_version = version;
        work.facts.version = Some(i64::from(version));
        control::put(work, self.tools.barrier.control(), &key, before, &write_body(&transformation)?).await?;
        Ok(Reply::nothing().then(Change::Directory))
    }

    async fn locked(&self, work: &mut Work, name: &str) -> Result<(ControlKey, i64, Transformation), Fault> {
        let key = ControlKey::new(ControlKind::Transformation, work.mount_id(), name);
        let row = control::lock(work, self.tools.barrier.control(), &key).await?.ok_or_else(no_transformation)?;
        let transformation = read_body(&row.body)?;
        refuse_fixed_key(&transformation)?;
        Ok((key, row.version, transformation))
    }
}

impl Draft {
    /// What tokens that exist depend on, or were promised, does not change.
    fn refuse_changes(&self, stored: &Transformation) -> Result<(), Fault> {
        self.form.refuse_changes(&stored.form)?;
        let refused = |member| Err(Fault::Invalid(Complaint::new("cannot be changed, make another transformation").at(member)));
        if self.prefix.as_ref().is_some_and(|prefix| *prefix != stored.prefix) {
            return refused("prefix");
        }
        if self.mapping_mode.is_some_and(|mode| mode != stored.mapping_mode) {
            return refused("mapping_mode");
        }
        if self.convergent.is_some_and(|convergent| convergent != stored.convergent) {
            return refused("convergent");
        }
        Ok(())
    }

    fn apply(&self, to: &mut Transformation) {
        self.form.apply(&mut to.form);
        to.mapping_mode = self.mapping_mode.unwrap_or(to.mapping_mode);
        to.convergent = self.convergent.unwrap_or(to.convergent);
        to.per_value_audit = self.per_value_audit.unwrap_or(to.per_value_audit);
        to.max_ttl = self.max_ttl.unwrap_or(to.max_ttl);
        to.deletion_allowed = self.deletion_allowed.unwrap_or(to.deletion_allowed);
        to.max_encoded_per_hour = self.max_encoded_per_hour.unwrap_or(to.max_encoded_per_hour);
        to.max_revealed_per_hour = self.max_revealed_per_hour.unwrap_or(to.max_revealed_per_hour);
        if let Some(roles) = &self.allowed_roles {
            to.allowed_roles.clone_from(roles);
        }
        if let Some(class) = &self.class {
            to.class.clone_from(class);
        }
        if let Some(prefix) = &self.prefix {
            to.prefix.clone_from(prefix);
        }
        if let Some(purposes) = &self.purposes {
            to.purposes.clone_from(purposes);
        }
    }
}

/// A name at the end of a path.
pub(super) fn name_of(segment: &str) -> Result<String, Fault> {
    checked_name(segment)
}

pub(super) fn read_body<T: serde::de::DeserializeOwned>(body: &str) -> Result<T, Fault> {
    serde_json::from_str(body).map_err(|_| Fault::Integrity("a control row cannot be read"))
}

pub(super) fn write_body<T: serde::Serialize>(document: &T) -> Result<String, Fault> {
    serde_json::to_string(document).map_err(|_| Fault::Internal("control row"))
}

/// The key of FF1 stays: what it encrypted does not say which version did. Masking has none.
fn refuse_fixed_key(transformation: &Transformation) -> Result<(), Fault> {
    match transformation.form.kind {
        Kind::Tokenization => Ok(()),
        Kind::Fpe => Err(Fault::invalid("a format-preserving transformation has one key, which its values do not name; make another one")),
        Kind::Masking => Err(Fault::invalid("a masking transformation has no key")),
    }
}

fn no_role() -> Fault {
    Fault::not_found("the role does not exist")
}

pub(super) fn no_transformation() -> Fault {
    Fault::not_found("the transformation does not exist")
}
