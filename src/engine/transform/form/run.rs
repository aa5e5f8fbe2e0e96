//! Values through templates. The only file of the forms that reads one.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use goldfin_crypto::{Ff1Key, Plaintext, Purpose, TokenSecret, Zeroizing};
use parking_lot::Mutex;

use crate::model::document::Node;
use crate::model::fault::{Complaint, Fault};
use crate::model::id::{MountId, ROOT_NAMESPACE};
use crate::seal::barrier::fault;
use crate::store::Store;
use crate::store::new_tokens;
use crate::store::transform::{self, NewTokens};
use crate::store::work::Work;

use super::super::Transform;
use super::super::batch::Answered;
use super::super::config::Transformation;
use super::super::encode::{NewRow, Planned, note_ids, subject_of};
use super::super::keys::TransformationKeys;
use super::super::op::{Input, Options, Use, ValuesOp};
use super::super::per_value::{self, TokenDigest};
use super::super::run::{Ready, Results, input_of, not_a_token};
use super::super::subjects::SubjectKey;
use super::fpe::{Direction, Fpe};
use super::misfit::Misfit;
use super::settings::TweakSource;
use super::shape::{Place, Shape, ShapeKeys};
use super::template::Taken;
use super::{Form, mask::mask};

/// Values before others get their turn on this thread. FF1 may walk; see `fpe::WIDEST`.
const STRETCH: usize = 16;

/// The length of a tweak that callers see.
const TWEAK_BYTES: usize = 7;

/// Serial numbers that a node takes at a time, at most.
const MOST_SERIALS: u64 = 4096;

/// A transformation that turns values without storing anything.
#[derive(Debug)]
pub struct Formed {
    name: String,
    pub(in crate::engine::transform) config: Arc<Transformation>,
    /// How many values an account may encode or reveal in an hour, whichever this is; 0 is without limit.
    pub(in crate::engine::transform) limit: u64,
    form: Arc<Form>,
    /// FPE's alone.
    secrets: Option<Secrets>,
}

#[derive(Debug)]
struct Secrets {
    key: Ff1Key,
    /// The tweak of `internal`.
    tweak: Zeroizing<Vec<u8>>,
}

impl Formed {
    /// `keys` only where the transformation encrypts.
    pub fn new(
        (mount, name): (MountId, &str),
        config: Arc<Transformation>,
        form: Arc<Form>,
        keys: Option<&TransformationKeys>,
        limit: u64,
    ) -> Result<Self, Fault> {
        let secrets = match (keys, &form.alphabet) {
            (Some(keys), Some(alphabet)) => {
                let version = config.latest_version;
                let key = keys.version(version).ok_or(Fault::Internal("key version"))?;
                let context = [ROOT_NAMESPACE.to_be_bytes(), mount.0.to_be_bytes(), config.number.to_be_bytes(), version.to_be_bytes()];
                let tweak = key.derive(Purpose::Ff1Tweak, &[&context.concat()]);
                Some(Secrets {
                    key: Ff1Key::new(&key.derive(Purpose::Ff1, &[]), alphabet.radix()).map_err(fault)?,
                    tweak: Zeroizing::new(tweak.expose_bytes().to_vec()),
                })
            }
            _ => None,
        };
        Ok(Self { name: name.to_owned(), config, limit, form, secrets })
    }

    fn item(&self, op: &ValuesOp, input: &Input) -> Result<Answered, Fault> {
        let value = text(&input.value)?;
        match (&self.secrets, op.usage) {
            (None, Use::Encode) => {
                let masked = mask(&self.form.template, value, self.config.form.masking_character).map_err(|misfit| self.refused(misfit))?;
                Ok(vec![answered("encoded_value", masked)])
            }
            (Some(secrets), Use::Encode) => self.encrypt(secrets, value, &input.options),
            (Some(secrets), Use::Decode) => self.decrypt(secrets, value, &input.options, op.format.as_deref()),
            _ => Err(Fault::Internal("form")),
        }
    }

    fn encrypt(&self, secrets: &Secrets, value: &str, options: &Options) -> Result<Answered, Fault> {
        for (given, member) in [
            (options.subject.is_some(), "subject"),
            (options.ttl.is_some_and(|ttl| !ttl.is_zero()), "ttl"),
            (options.expiration.is_some(), "expiration"),
            (options.metadata.is_some(), "metadata"),
        ] {
            if given {
                // A promise that nothing would keep: there is no row to erase, to end, or to attach it to.
                let what = "needs something stored, and format-preserving encryption stores nothing; use tokenization";
                return Err(Fault::Invalid(Complaint::new(what).at(member).stored(self.name.as_str())));
            }
        }
        let (tweak, shown) = match (self.config.form.tweak_source, &options.tweak) {
            (TweakSource::Supplied, given) => (self.supplied(given.as_deref())?, None),
            (source, Some(_)) => return Err(self.not_taken(source)),
            (TweakSource::Internal, None) => (secrets.tweak.clone(), None),
            (TweakSource::Generated, None) => {
                let mut tweak = Zeroizing::new(vec![0; TWEAK_BYTES]);
                goldfin_crypto::random::fill(&mut tweak).map_err(fault)?;
                let shown = STANDARD.encode(tweak.as_slice());
                (tweak, Some(shown))
            }
        };
        let fpe = self.fpe(secrets)?;
        let encoded = fpe.turn(value, &tweak, Direction::Encode).and_then(|encoded| fpe.formatted(encoded));
        let mut members = vec![answered("encoded_value", encoded.map_err(|misfit| self.refused(misfit))?)];
        if let Some(shown) = shown {
            members.push(("tweak".to_owned(), Node::text(shown)));
        }
        Ok(members)
    }

    fn decrypt(&self, secrets: &Secrets, value: &str, options: &Options, format: Option<&str>) -> Result<Answered, Fault> {
        let format = match format {
            Some(name) => Some(self.form.template.written().decode_formats.get(name).ok_or_else(|| {
                Fault::Invalid(Complaint::new("the template has no decode format of this name").stored(self.form.name.as_str()))
            })?),
            None => None,
        };
        let tweak = match (self.config.form.tweak_source, &options.tweak) {
            (TweakSource::Supplied | TweakSource::Generated, given) => self.supplied(given.as_deref())?,
            (source @ TweakSource::Internal, Some(_)) => return Err(self.not_taken(source)),
            (TweakSource::Internal, None) => secrets.tweak.clone(),
        };
        let decoded = self.fpe(secrets)?.turn(value, &tweak, Direction::Decode);
        let written = decoded.and_then(|decoded| match format {
            Some(format) => self.form.template.rewrite(&decoded, format),
            None => Ok(decoded),
        });
        Ok(vec![answered("decoded_value", written.map_err(|misfit| self.refused(misfit))?)])
    }

    fn fpe<'a>(&'a self, secrets: &'a Secrets) -> Result<Fpe<'a>, Fault> {
        let alphabet = self.form.alphabet.as_deref().ok_or(Fault::Internal("form"))?;
        Ok(Fpe { template: &self.form.template, alphabet, key: &secrets.key })
    }

    fn supplied(&self, given: Option<&str>) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let refused = |what| Fault::Invalid(Complaint::new(what).at("tweak").stored(self.name.as_str()));
        let given = given.ok_or_else(|| refused("is missing, give the 7 bytes that the value is encoded with, in base64"))?;
        let tweak = Zeroizing::new(STANDARD.decode(given).map_err(|_| refused("must be 7 bytes in base64"))?);
        if tweak.len() == TWEAK_BYTES { Ok(tweak) } else { Err(refused("must be 7 bytes in base64, it has another length")) }
    }

    fn not_taken(&self, source: TweakSource) -> Fault {
        let what = match source {
            TweakSource::Generated => "is made here, leave it out (`tweak_source` is `generated`)",
            _ => "is not taken, leave it out (`tweak_source` is `internal`)",
        };
        Fault::Invalid(Complaint::new(what).at("tweak").stored(self.name.as_str()))
    }

    fn refused(&self, misfit: Misfit) -> Fault {
        misfit.fault(&self.form.name)
    }
}

/// Puts the results of the transformations that store nothing in place of `results`. `formed` has one for each target, or none.
pub async fn fill(op: &ValuesOp, formed: &[Option<Formed>], results: &mut Results) {
    for (position, (item, result)) in op.items.iter().zip(results.iter_mut()).enumerate() {
        if position % STRETCH == STRETCH - 1 {
            tokio::task::yield_now().await;
        }
        if let Ok(input) = &item.input
            && let Some(Some(formed)) = formed.get(input.target)
        {
            *result = formed.item(op, input);
        }
    }
}

impl Ready {
    /// The shape of its tokens and the keys of that. None: they are opaque.
    fn shaped(&self) -> Option<(&Form, &Shape, &ShapeKeys)> {
        let form = self.form.as_deref()?;
        Some((form, form.shape.as_ref()?, self.keys.shape.as_ref()?))
    }

    /// Where the token of a value stands in the shape; none where tokens are opaque. Refused where the value does not fit.
    pub(in crate::engine::transform) fn fit(&self, value: &Plaintext) -> Result<Option<Place>, Fault> {
        let Some((form, shape, _)) = self.shaped() else { return Ok(None) };
        let place = form.template.take(text(value)?).and_then(|taken| shape.place(&taken));
        place.map(Some).map_err(|misfit| misfit.fault(&form.name))
    }

    /// The row of the shaped token with a serial number.
    pub(in crate::engine::transform) fn row(&self, place: Place, serial: u64) -> Result<i64, Fault> {
        let (form, shape, _) = self.shaped().ok_or(Fault::Internal("form"))?;
        shape.row(place, self.config.number, serial).map_err(|misfit| misfit.fault(&form.name))
    }

    /// The secret that a row's key is made with. `own` is the token's, unless its shape has no room for one.
    pub(in crate::engine::transform) fn secret(&self, id: i64, own: &TokenSecret) -> TokenSecret {
        match self.shaped() {
            Some((_, _, keys)) => keys.secret(id),
            None => TokenSecret::from_exposed(Zeroizing::new(*own.expose())),
        }
    }

    /// The token of a row, whose value shows the layout of a shaped one.
    pub(in crate::engine::transform) fn token(&self, id: i64, secret: &TokenSecret, value: &Plaintext) -> Result<String, Fault> {
        let Some((form, shape, keys)) = self.shaped() else { return Ok(self.keys.format.render(id, secret)) };
        let refused = |misfit: Misfit| misfit.fault(&form.name);
        let value = text(value)?;
        let taken = form.template.take(value).map_err(refused)?;
        let place = shape.place(&taken).map_err(refused)?;
        let mut token = shape.render(keys, &form.template, (value, &taken), place, id).map_err(refused)?;
        Ok(std::mem::take(&mut *token))
    }

    /// The serial number behind that of a shaped row; none for an opaque one.
    pub(in crate::engine::transform) fn next_serial(&self, id: i64) -> Option<i64> {
        let (_, shape, _) = self.shaped()?;
        i64::try_from(shape.serial(id).ok()?.checked_add(1)?).ok()
    }

    /// The row of a token and the secret that its key is made with; the same fault for everything that is none.
    pub(in crate::engine::transform) fn read(&self, shown: &Plaintext) -> Result<(i64, TokenSecret), Fault> {
        match self.shaped() {
            Some((form, shape, keys)) => {
                let shown = shown.expose_text().map_err(|_| not_a_token())?;
                let id = shape.read(keys, &form.template, self.config.number, shown).ok_or_else(not_a_token)?;
                Ok((id, keys.secret(id)))
            }
            None => super::super::run::read_token(&self.keys.format, shown),
        }
    }
}

/// A value whose token will be shaped.
struct ToShape<'a> {
    plan: Planned<'a>,
    form: &'a Form,
    shape: &'a Shape,
    keys: &'a ShapeKeys,
    taken: Taken,
    place: Place,
}

impl Transform {
    /// Encodes the items whose transformation has a shape. Everything that needs a connection of its own is done here, before the other
    /// items may open a transaction, which holds one; [`Shaped::settle`] writes.
    pub(in crate::engine::transform) async fn shape_values(
        &self,
        op: &ValuesOp,
        targets: &[Result<Ready, Fault>],
        work: &Work,
    ) -> Result<Shaped, Fault> {
        let now = work.now();
        let mut made = Shaped::default();
        let mut shaped: Vec<(usize, ToShape<'_>)> = Vec::new();
        for (position, item) in op.items.iter().enumerate() {
            let Ok((input, ready)) = input_of(item, targets) else { continue };
            let Some((form, shape, keys)) = ready.shaped().filter(|_| !ready.config.convergent) else { continue };
            let plan = || -> Result<ToShape<'_>, Fault> {
                let expires = ready.config.expiry(now, input.options.ttl, input.options.expiration)?;
                let refused = |misfit: Misfit| misfit.fault(&form.name);
                let taken = form.template.take(text(&input.value)?).map_err(refused)?;
                let place = shape.place(&taken).map_err(refused)?;
                Ok(ToShape { plan: Planned { input, ready, expires }, form, shape, keys, taken, place })
            };
            match plan() {
                Ok(plan) => shaped.push((position, plan)),
                Err(fault) => made.results.push((position, Err(fault))),
            }
        }
        let about: Vec<[u8; 32]> = shaped.iter().filter_map(|(_, item)| item.plan.input.options.subject).collect();
        let subjects = Box::pin(self.subject_keys(work, about.into_iter())).await?;
        let serials = self.serials_for(op, &shaped, work).await?;
        made.rows = NewTokens::with_capacity(shaped.len());
        for (done, ((position, item), serial)) in shaped.iter().zip(serials).enumerate() {
            if done % STRETCH == STRETCH - 1 {
                tokio::task::yield_now().await;
            }
            let result = made.add(work.mount_id(), *position, item, serial, &subjects)?;
            made.results.push((*position, result));
        }
        Ok(made)
    }

    /// A serial number for each of them, counted for each transformation by itself.
    async fn serials_for(&self, op: &ValuesOp, shaped: &[(usize, ToShape<'_>)], work: &Work) -> Result<Vec<u64>, Fault> {
        let mut needed: HashMap<usize, usize> = HashMap::new();
        for (_, item) in shaped {
            *needed.entry(item.plan.input.target).or_default() += 1;
        }
        let mut taken: HashMap<usize, std::vec::IntoIter<u64>> = HashMap::new();
        for (target, count) in needed {
            let item =
                shaped.iter().map(|(_, item)| item).find(|item| item.plan.input.target == target).ok_or(Fault::Internal("target"))?;
            let serials = self.serials_of(op, target, item.plan.ready, count, work).await?;
            taken.insert(target, serials.into_iter());
        }
        shaped
            .iter()
            .map(|(_, item)| taken.get_mut(&item.plan.input.target).and_then(Iterator::next).ok_or(Fault::Internal("serials")))
            .collect()
    }

    /// So many serial numbers for tokens of the transformation at `target`.
    pub(in crate::engine::transform) async fn serials_of(
        &self,
        op: &ValuesOp,
        target: usize,
        ready: &Ready,
        count: usize,
        work: &Work,
    ) -> Result<Vec<u64>, Fault> {
        let name = op.targets.get(target).and_then(|target| target.name.as_deref()).ok_or(Fault::Internal("target"))?;
        let (_, shape, _) = ready.shaped().ok_or(Fault::Internal("form"))?;
        let block = (shape.smallest() / 16_384).clamp(1, MOST_SERIALS);
        self.serials.take(work.store(), work.mount_id(), (name, ready.config.number), count, block).await
    }
}

/// Shaped tokens of a request that are not written yet.
#[derive(Default)]
pub struct Shaped {
    results: Vec<(usize, Result<Answered, Fault>)>,
    rows: NewTokens,
    ids: Vec<i64>,
    /// What entries name them by, where their transformation asks for it.
    named: Vec<(usize, TokenDigest)>,
}

impl Shaped {
    /// The inner fault is the item's.
    fn add(
        &mut self,
        mount: MountId,
        position: usize,
        item: &ToShape<'_>,
        serial: u64,
        subjects: &HashMap<[u8; 32], SubjectKey>,
    ) -> Result<Result<Answered, Fault>, Fault> {
        let ToShape { plan, form, shape, keys, taken, place } = item;
        let value = text(&plan.input.value)?;
        let made = shape
            .row(*place, plan.ready.config.number, serial)
            .and_then(|id| shape.render(keys, &form.template, (value, taken), *place, id).map(|token| (id, token)));
        let (id, token) = match made {
            Ok(made) => made,
            Err(misfit) => return Ok(Err(misfit.fault(&form.name))),
        };
        let new = NewRow {
            mount,
            id,
            ready: plan.ready,
            subject: subject_of(plan, subjects)?,
            expires: plan.expires,
            value: &plan.input.value,
            metadata: plan.input.options.metadata.as_deref(),
        };
        new.write(&keys.secret(id), &mut self.rows)?;
        self.ids.push(id);
        if plan.ready.config.per_value_audit {
            self.named.push((position, per_value::digest(plan.ready, id)));
        }
        Ok(Ok(vec![answered("encoded_value", token)]))
    }

    /// Writes them, and puts their results in place of those that stand there. `alone`: nothing else is in the request.
    pub async fn settle(self, op: &ValuesOp, alone: bool, results: &mut Results, work: &mut Work) -> Result<(), Fault> {
        for (position, result) in self.results {
            if let Some(slot) = results.get_mut(position) {
                *slot = result;
            }
        }
        if !self.named.is_empty() {
            work.facts.tokens.resize(op.items.len(), None);
        }
        for (position, digest) in self.named {
            if let Some(slot) = work.facts.tokens.get_mut(position) {
                *slot = Some(digest);
            }
        }
        if alone {
            note_ids(work, &self.ids);
        } else {
            // It would hold for a part of the request only.
            work.facts.batch = None;
        }
        if self.rows.is_empty() {
            return Ok(());
        }
        if !op.batch {
            work.facts.digest = self.rows.value.first().map(|value| goldfin_crypto::digest::sha256(&[value]));
        }
        Ok(new_tokens::add(work, self.rows).await?)
    }
}

/// Hands out the serial numbers of shaped tokens, from blocks that this node took.
#[derive(Debug, Default)]
pub struct Serials {
    blocks: Mutex<HashMap<i32, Range<u64>>>,
    refill: tokio::sync::Mutex<()>,
}

impl Serials {
    /// `of`: the transformation's name and number.
    async fn take(&self, store: &Store, mount: MountId, of: (&str, i32), count: usize, block: u64) -> Result<Vec<u64>, Fault> {
        let (name, number) = of;
        let mut serials = Vec::with_capacity(count);
        self.take_some(number, &mut serials, count);
        if serials.len() == count {
            return Ok(serials);
        }
        let _one = self.refill.lock().await;
        self.take_some(number, &mut serials, count);
        let missing = u64::try_from(count - serials.len()).map_err(|_| Fault::Internal("serials"))?;
        if missing > 0 {
            let wanted = missing.max(block);
            let asked = i64::try_from(wanted).map_err(|_| Fault::Internal("serials"))?;
            let first = Box::pin(transform::take_serials(store, mount.0, name, asked)).await?;
            let first = first.ok_or_else(|| Fault::conflict("the transformation changed at the same moment, try again"))?;
            let first = u64::try_from(first).map_err(|_| Fault::Integrity("the serial number of tokens cannot be"))?;
            self.blocks.lock().insert(number, first..first.saturating_add(wanted));
            self.take_some(number, &mut serials, count);
        }
        if serials.len() == count { Ok(serials) } else { Err(Fault::conflict("many tokens are made at the same moment, try again")) }
    }

    fn take_some(&self, number: i32, serials: &mut Vec<u64>, count: usize) {
        if let Some(block) = self.blocks.lock().get_mut(&number) {
            serials.extend(block.by_ref().take(count - serials.len()));
        }
    }
}

fn text(value: &Plaintext) -> Result<&str, Fault> {
    value.expose_text().map_err(|_| Fault::Invalid(Complaint::new("must be text").at("value")))
}

fn answered(name: &str, mut value: Zeroizing<String>) -> (String, Node) {
    (name.to_owned(), Node::Text(Plaintext::from_text(std::mem::take(&mut *value))))
}
