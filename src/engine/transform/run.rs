//! Carrying an operation out. The only file of this engine that reads a value: a token's text, and stored metadata.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use goldfin_crypto::{Plaintext, TokenFormat, TokenSecret};

use crate::model::document::Node;
use crate::model::facts::SubjectCount;
use crate::model::fault::{Complaint, Fault};
use crate::model::id::MountId;
use crate::model::reply::Reply;
use crate::policy::authorized::Authorized;
use crate::store::control::ControlKind;
use crate::store::directory::Snapshot;
use crate::store::work::Work;

use super::Transform;
use super::batch::{self, Answered};
use super::config::{Role, Transformation};
use super::form::run::Formed;
use super::form::settings::Kind;
use super::form::{self, Form};
use super::keys::TransformationKeys;
use super::limits::{Load, Meter};
use super::mount_config::{self, MountConfig};
use super::op::{Target, TransformOp, Use, ValuesOp, What, classes};
use super::purposes;
use super::subjects::{Concerned, note_subjects};

/// A transformation that a request may use, with its keys.
#[derive(Debug, Clone)]
pub(super) struct Ready {
    pub config: Arc<Transformation>,
    pub keys: Arc<TransformationKeys>,
    /// Absent where tokens are opaque.
    pub form: Option<Arc<Form>>,
    /// How many values an account may encode or reveal in an hour, whichever this is; 0 is without limit.
    pub limit: u64,
}

/// The transformations of a request: those that make tokens, and by the same positions those that store nothing.
type Targets = (Vec<Result<Ready, Fault>>, Vec<Option<Formed>>);

/// What became of each item, in their order.
pub(super) type Results = Vec<Result<Answered, Fault>>;

impl Transform {
    pub(super) async fn carry_out(&self, permit: &Authorized<TransformOp>, work: &mut Work) -> Result<Reply, Fault> {
        let op = permit.op();
        match &op.what {
            // Boxed, like what asks the database: encoding and decoding are not to pay for its size.
            What::Setting(setting) => Box::pin(self.settle(setting, op.unknown, work)).await,
            What::Subject(subject) => {
                Box::pin(self.about(subject, permit.principal().name(), work)).await.map(|reply| reply.warn_of_unknown(op.unknown))
            }
            What::Text(text) => Box::pin(self.carry_out_texts(permit, text, work)).await.map(|reply| reply.warn_of_unknown(op.unknown)),
            What::State(state) => {
                Box::pin(self.state(state, permit.principal().name(), work)).await.map(|reply| reply.warn_of_unknown(op.unknown))
            }
            What::Values(values) => {
                let (targets, formed) = self.ready(permit, values, work).await?;
                self.within_limits(permit, values, &targets, &formed, work).await?;
                let results = self.results(values, &targets, &formed, work).await?;
                note(values, &targets, &results, work);
                let answered = batch::answer(values, results);
                if answered.is_err() && values.batch {
                    // Nothing leaves: nobody's values were seen.
                    (work.facts.subjects, work.facts.succeeded) = (Vec::new(), Some(0));
                }
                answered.map(|reply| reply.warn_of_unknown(op.unknown))
            }
        }
    }

    /// Refuses the whole request before it does anything when a limit would be passed.
    pub(super) async fn within_limits<'op>(
        &self,
        permit: &Authorized<TransformOp>,
        op: &'op ValuesOp,
        targets: &'op [Result<Ready, Fault>],
        formed: &'op [Option<Formed>],
        work: &mut Work,
    ) -> Result<(), Fault> {
        let Some(harm) = op.usage.harm() else { return Ok(()) };
        let unlimited = targets.iter().flatten().all(|ready| ready.limit == 0);
        let no_quota = self.snapshot().quotas().disclose_freely();
        if unlimited && no_quota && formed.iter().flatten().all(|formed| formed.limit == 0) {
            return Ok(());
        }
        let load = |(number, (target, ready)): (usize, (&'op Target, &'op Result<Ready, Fault>))| {
            let (config, limit) = match (ready, formed.get(number)) {
                (_, Some(Some(formed))) => (&formed.config, formed.limit),
                (ready, _) => ready.as_ref().ok().map(|ready| (&ready.config, ready.limit))?,
            };
            let concerns = |item: &&super::op::Item| item.input.as_ref().is_ok_and(|input| input.target == number);
            Some(Load {
                meter: Meter::Transformation(config.number),
                name: target.name.as_deref().unwrap_or_default(),
                class: config.class.as_deref(),
                limit,
                count: op.items.iter().filter(concerns).count(),
            })
        };
        let loads: Vec<Load<'op>> = op.targets.iter().zip(targets).enumerate().filter_map(load).collect();
        let spent = Box::pin(self.spend(permit.principal().name(), harm, loads, work)).await;
        if spent.is_err() {
            work.facts.count = u64::try_from(op.items.len()).ok();
        }
        spent
    }

    async fn results(
        &self,
        op: &ValuesOp,
        targets: &[Result<Ready, Fault>],
        formed: &[Option<Formed>],
        work: &mut Work,
    ) -> Result<Results, Fault> {
        // Convergent ones are made where values find their tokens.
        let makes_shaped = |ready: &Ready| ready.form.is_some() && !ready.config.convergent;
        let shaped = |target: &Result<Ready, Fault>| op.usage == Use::Encode && target.as_ref().is_ok_and(makes_shaped);
        if !targets.iter().any(shaped) && formed.iter().all(Option::is_none) {
            return self.results_of_tokens(op, targets, work).await;
        }
        // What makes no opaque token is refused there and done here, in place of that refusal.
        let elsewhere = |target: &Result<Ready, Fault>| if shaped(target) { Err(Fault::Internal("form")) } else { target.clone() };
        let opaque: Vec<Result<Ready, Fault>> = targets.iter().map(elsewhere).collect();
        let made = Box::pin(self.shape_values(op, if op.usage == Use::Encode { targets } else { &[] }, work)).await?;
        let mut results = self.results_of_tokens(op, &opaque, work).await?;
        let alone = !opaque.iter().any(Result::is_ok) && formed.iter().all(Option::is_none);
        if targets.iter().any(shaped) {
            Box::pin(made.settle(op, alone, &mut results, work)).await?;
        }
        Box::pin(form::run::fill(op, formed, &mut results)).await;
        if op.usage == Use::Encode {
            (work.facts.subject, work.facts.subjects) = (None, Vec::new());
            note_subjects(&concerned(op, targets, formed), &results, work);
        } else if let Some(subject) = work.facts.subject.take_if(|_| formed.iter().any(Option::is_some)) {
            // Those are nobody's, so that not all of the values are this person's.
            let of_tokens = |item: &super::op::Item| item.input.as_ref().is_ok_and(|input| matches!(formed.get(input.target), Some(None)));
            let revealed = op.items.iter().zip(&results).filter(|(item, result)| result.is_ok() && of_tokens(item)).count();
            work.facts.subjects = vec![SubjectCount { subject, class: None, count: u64::try_from(revealed).unwrap_or(u64::MAX) }];
        }
        Ok(results)
    }

    pub(super) async fn results_of_tokens(
        &self,
        op: &ValuesOp,
        targets: &[Result<Ready, Fault>],
        work: &mut Work,
    ) -> Result<Results, Fault> {
        match op.usage {
            Use::Encode => self.encode(op, targets, work).await,
            Use::Decode | Use::Validate | Use::Metadata => self.reveal(op, targets, work).await,
            Use::DeleteByToken => Box::pin(self.delete_tokens(op, targets, work)).await,
            Use::Tokenized | Use::Tokens => Box::pin(self.find_values(op, targets, work)).await,
            Use::DeleteByValue => Box::pin(self.delete_values(op, targets, work)).await,
        }
    }

    /// The transformations of a request as they stand now. One that is refused fails its items only.
    async fn ready(&self, permit: &Authorized<TransformOp>, op: &ValuesOp, work: &Work) -> Result<Targets, Fault> {
        let (snapshot, mount) = (self.snapshot(), work.mount_id());
        let Some(role) = snapshot.get::<Role>(ControlKind::Role, mount, &op.role)? else {
            return Err(Fault::invalid("the role does not exist, create it under `role/` of this mount"));
        };
        let of_mount = mount_config::of_mount(&snapshot, mount)?;
        let (mut ready, mut formed) = (Vec::with_capacity(op.targets.len()), Vec::with_capacity(op.targets.len()));
        for (part, target) in op.targets.iter().enumerate() {
            if !permit.permits(part) {
                ready.push(Err(Fault::Denied));
                formed.push(None);
                continue;
            }
            let usable = usable(&snapshot, &of_mount, mount, op, &role, target);
            let usable = usable.and_then(|(name, config)| Ok((name, self.forms.form(&snapshot, mount, &config)?, config)));
            let (opaque, other) = match usable {
                Ok((name, form, config)) => {
                    let limit = op.usage.harm().map_or(0, |harm| of_mount.limit(&config, harm));
                    self.with_keys(work, name, config, (form, limit)).await?
                }
                Err(fault) => (Err(fault), None),
            };
            ready.push(opaque);
            formed.push(other);
        }
        Ok((ready, formed))
    }

    /// The same for what must make opaque tokens.
    pub(super) async fn ready_opaque(
        &self,
        permit: &Authorized<TransformOp>,
        op: &ValuesOp,
        work: &Work,
    ) -> Result<Vec<Result<Ready, Fault>>, Fault> {
        let (mut targets, formed) = self.ready(permit, op, work).await?;
        for ((ready, formed), target) in targets.iter_mut().zip(&formed).zip(&op.targets) {
            if formed.is_some() || ready.as_ref().is_ok_and(|ready| ready.form.is_some()) {
                let what = "the transformation makes no opaque tokens, and nothing else is found again in a text";
                *ready = Err(Fault::Invalid(Complaint::new(what).stored(target.name.clone().unwrap_or_default())));
            }
        }
        Ok(targets)
    }

    async fn with_keys(
        &self,
        work: &Work,
        name: &str,
        config: Arc<Transformation>,
        (form, limit): (Option<Arc<Form>>, u64),
    ) -> Result<(Result<Ready, Fault>, Option<Formed>), Fault> {
        let mount = work.mount_id();
        let keys = match config.form.kind {
            Kind::Masking => None,
            Kind::Tokenization | Kind::Fpe => Some(self.keys.keys(work.store(), &self.tools.barrier, mount, name, &config).await?),
        };
        match (config.form.kind, keys, form) {
            (Kind::Tokenization, Some(keys), form) => Ok((Ok(Ready { config, keys, form, limit }), None)),
            (Kind::Fpe | Kind::Masking, keys, Some(form)) => {
                let formed = Formed::new((mount, name), config, form, keys.as_deref(), limit)?;
                Ok((Err(Fault::Internal("form")), Some(formed)))
            }
            _ => Err(Fault::Internal("form")),
        }
    }
}

fn usable<'a>(
    snapshot: &Snapshot,
    of_mount: &MountConfig,
    mount: MountId,
    op: &ValuesOp,
    role: &Role,
    target: &'a Target,
) -> Result<(&'a str, Arc<Transformation>), Fault> {
    let invalid = |complaint: Complaint| Err(Fault::Invalid(complaint));
    let Some(name) = target.name.as_deref() else {
        return match role.transformations.len() {
            0 => invalid(Complaint::new("the role names no transformation, add one to its `transformations`")),
            1 => Err(Fault::conflict("the role changed at the same moment, try again")),
            _ => invalid(Complaint::new("is missing, the role has several transformations").at("transformation")),
        };
    };
    if !role.transformations.iter().any(|known| known == name) {
        return invalid(Complaint::new("is none of the role's transformations").at("transformation"));
    }
    let Some(config) = snapshot.get::<Transformation>(ControlKind::Transformation, mount, name)? else {
        return invalid(Complaint::new("the role names a transformation that does not exist, create it").stored(name));
    };
    if config.class != target.class {
        // It was authorised as something else.
        return Err(Fault::conflict("the transformation changed at the same moment, try again"));
    }
    if !config.allows_role(&op.role) {
        return invalid(Complaint::new("the transformation does not allow this role, add it to its `allowed_roles`").stored(name));
    }
    match (op.usage, config.form.kind) {
        (Use::Decode, Kind::Masking) => {
            return invalid(Complaint::new("the transformation masks, and what is masked cannot be turned back by anybody").stored(name));
        }
        (Use::Encode | Use::Decode, _) | (_, Kind::Tokenization) => {}
        (_, Kind::Fpe | Kind::Masking) => {
            return invalid(Complaint::new("the transformation stores nothing, so it has no tokens to ask about").stored(name));
        }
    }
    purposes::check(
        op.purpose.as_ref().map(|purpose| purpose.word.as_str()),
        &config.purposes,
        &of_mount.purposes,
        op.usage == Use::Decode,
    )?;
    match op.usage {
        _ if op.format.is_some() && config.form.kind == Kind::Tokenization => {
            return invalid(Complaint::new("the transformation makes tokens, which have no decode formats").stored(name));
        }
        usage if usage.by_value() && !config.convergent => {
            return invalid(
                Complaint::new("the transformation is not convergent, so its tokens are not found by their value; ask with the token")
                    .stored(name),
            );
        }
        Use::DeleteByToken | Use::DeleteByValue if !config.deletion_allowed => {
            return invalid(Complaint::new("the transformation does not allow deletion, set its `deletion_allowed`").stored(name));
        }
        _ => {}
    }
    Ok((name, config))
}

/// Whom the values of an encode are about, whichever transformation they go through.
fn concerned<'a>(op: &'a ValuesOp, targets: &'a [Result<Ready, Fault>], formed: &'a [Option<Formed>]) -> Vec<Option<Concerned<'a>>> {
    let of = |item: &'a super::op::Item| {
        let input = item.input.as_ref().ok()?;
        let config = match (targets.get(input.target)?, formed.get(input.target)?) {
            (_, Some(formed)) => &formed.config,
            (Ok(ready), None) => &ready.config,
            (Err(_), None) => return None,
        };
        Some(Concerned { subject: input.options.subject, class: config.class.as_deref() })
    };
    op.items.iter().map(of).collect()
}

/// What an item asks, and the transformation that it concerns.
pub(super) fn input_of<'a>(
    item: &'a super::op::Item,
    targets: &'a [Result<Ready, Fault>],
) -> Result<(&'a super::op::Input, &'a Ready), Fault> {
    let input = item.input.as_ref().map_err(Fault::clone)?;
    match targets.get(input.target) {
        Some(Ok(ready)) => Ok((input, ready)),
        Some(Err(fault)) => Err(fault.clone()),
        None => Err(Fault::Internal("target")),
    }
}

/// What the entry says of it beyond what the bracket knows.
fn note(op: &ValuesOp, targets: &[Result<Ready, Fault>], results: &Results, work: &mut Work) {
    let succeeded = results.iter().filter(|result| result.is_ok()).count();
    let as_number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    work.facts.count = Some(as_number(results.len()));
    if succeeded != results.len() {
        work.facts.succeeded = Some(as_number(succeeded));
    }
    let refused = |target: &Result<Ready, Fault>| matches!(target, Err(Fault::Denied));
    if targets.iter().any(refused) {
        work.facts.reason = Some("partly_denied");
    }
    let permitted = op.targets.iter().zip(targets).filter(|(_, ready)| !refused(ready));
    work.facts.class = classes(permitted.map(|(target, _)| target));
}

/// The row's number and the secret of a token; the same fault for everything that is none of this transformation.
pub(super) fn read_token(format: &TokenFormat, text: &Plaintext) -> Result<(i64, TokenSecret), Fault> {
    let text = text.expose_text().map_err(|_| not_a_token())?;
    format.parse(text).map_err(|_| not_a_token())
}

/// Junk, forged, cut short, of another transformation, mount or role, deleted, or never issued: nobody learns which.
pub(super) fn not_a_token() -> Fault {
    Fault::invalid("the token is not one of this transformation")
}

/// Metadata as it was attached.
pub(super) fn read_metadata(stored: &Plaintext) -> Result<Node, Fault> {
    Node::parse(stored.expose()).map_err(|_| Fault::Internal("metadata"))
}

/// A value of an export, as Vault writes it.
pub(super) fn base64_of(value: &Plaintext) -> Node {
    Node::Text(Plaintext::from_text(STANDARD.encode(value.expose())))
}

/// Text that is no personal data.
pub(super) fn read_text(text: &Plaintext) -> Option<&str> {
    text.expose_text().ok()
}
