//! Transformations with a form: format-preserving encryption, masking, and tokens in the shape of a template.
//!
//! `pattern`, `template`, `alphabet`, `builtin`, `fpe`, `mask` and `shape` are pure. `settings` and `stored` read and write what is
//! configured, `run` is the only file here that reads a value. Deliberately absent: FF3-1, and a rotation of FF1 keys, whose strings
//! do not say which key made them.

mod alphabet;
mod builtin;
mod fpe;
mod mask;
mod misfit;
mod pattern;
pub mod run;
pub mod settings;
pub mod shape;
pub mod stored;
mod template;
#[cfg(test)]
mod volume_tests;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::model::fault::{Complaint, Fault};
use crate::model::id::MountId;
use crate::store::control::ControlKind;
use crate::store::directory::Snapshot;

use self::fpe::check as check_for_ff1;
use super::config::Transformation;
use alphabet::{Alphabet, BUILTIN};
use settings::Kind;
use shape::Shape;
use template::Template;

/// Forms that are held at the same time; beyond it all are forgotten and made anew.
const HELD: usize = 1024;

/// A transformation's template with all that it refers to, checked for what the transformation does with it.
#[derive(Debug)]
pub struct Form {
    /// The template's stored name.
    name: String,
    template: Arc<Template>,
    /// Masking needs none.
    alphabet: Option<Arc<Alphabet>>,
    shape: Option<Shape>,
}

impl Form {
    /// `template` without its alphabet is a masking's.
    fn new(kind: Kind, name: &str, template: Arc<Template>, alphabet: Option<Arc<Alphabet>>) -> Result<Self, Fault> {
        let unfit = |why| Fault::Invalid(Complaint::new(why).at("template").stored(name));
        let shape = match (kind, &alphabet) {
            (Kind::Masking, _) => None,
            (Kind::Fpe, Some(alphabet)) => {
                check_for_ff1(&template, alphabet).map_err(unfit)?;
                None
            }
            (Kind::Tokenization, Some(alphabet)) => Some(Shape::new(&template, alphabet).map_err(unfit)?),
            (_, None) => return Err(Fault::Internal("form")),
        };
        Ok(Self { name: name.to_owned(), template, alphabet, shape })
    }
}

/// The forms in use. One is made anew when the directory has another template or alphabet.
#[derive(Debug, Default)]
pub struct FormCache {
    held: RwLock<HashMap<(MountId, i32), Arc<Form>>>,
}

impl FormCache {
    /// The form of a transformation that has one.
    pub fn form(&self, snapshot: &Snapshot, mount: MountId, config: &Transformation) -> Result<Option<Arc<Form>>, Fault> {
        let Some(name) = &config.form.template else {
            return match config.form.kind {
                Kind::Tokenization => Ok(None),
                Kind::Fpe | Kind::Masking => Err(Fault::invalid("the transformation has no template, give it one")),
            };
        };
        let missing = |what, name: &str| Fault::Invalid(Complaint::new(what).stored(name));
        let template = template_of(snapshot, mount, name)?
            .ok_or_else(|| missing("the transformation names a template that does not exist, create it", name))?;
        let alphabet = match config.form.kind {
            Kind::Masking => None,
            Kind::Tokenization | Kind::Fpe => {
                let name = &template.written().alphabet;
                let found = alphabet_of(snapshot, mount, name)?;
                Some(found.ok_or_else(|| missing("the template names an alphabet that does not exist, create it", name))?)
            }
        };
        let same = |form: &Form| {
            let alphabets = match (&form.alphabet, &alphabet) {
                (Some(held), Some(now)) => Arc::ptr_eq(held, now),
                (held, now) => held.is_none() && now.is_none(),
            };
            alphabets && Arc::ptr_eq(&form.template, &template)
        };
        let key = (mount, config.number);
        if let Some(form) = self.held.read().get(&key).filter(|form| same(form)) {
            return Ok(Some(Arc::clone(form)));
        }
        let form = Arc::new(Form::new(config.form.kind, name, template, alphabet)?);
        let mut held = self.held.write();
        if held.len() >= HELD {
            held.clear();
        }
        held.insert(key, Arc::clone(&form));
        Ok(Some(form))
    }
}

fn template_of(snapshot: &Snapshot, mount: MountId, name: &str) -> Result<Option<Arc<Template>>, Fault> {
    match name.strip_prefix(BUILTIN) {
        Some(name) => Ok(builtin::built_in(name)),
        None => snapshot.get::<Template>(ControlKind::Template, mount, name),
    }
}

fn alphabet_of(snapshot: &Snapshot, mount: MountId, name: &str) -> Result<Option<Arc<Alphabet>>, Fault> {
    match name.strip_prefix(BUILTIN) {
        Some(name) => Ok(alphabet::built_in(name)),
        None => snapshot.get::<Alphabet>(ControlKind::Alphabet, mount, name),
    }
}
