//! Shaped tokens: a number written with the characters of a template, spread over all that it can write by a keyed permutation.
//!
//! The number is the row's, so no two rows share a token and no index is needed to find one. There is no room for a secret: whoever
//! may decode, or holds the keys, turns any number back. A token is told from a value only where the template has values that
//! nobody is given.

use goldfin_crypto::{DataKey, Key, MacKey, NumberPermutation, Purpose, TokenSecret, Zeroizing};
use regex_syntax::hir::{Hir, HirKind};

use super::alphabet::Alphabet;
use super::builtin::{Tokens, luhn_digit};
use super::misfit::Misfit;
use super::pattern::{Pattern, letters};
use super::template::{Taken, Template};

/// The choices that one alternation may have.
const MOST_CHOICES: usize = 10_000;

/// The most places of a token.
const MOST_SLOTS: usize = 512;

/// An unbounded repetition is written this often, unless it must be more.
const USUAL_TIMES: u32 = 16;

/// Rows of shaped tokens are numbered from here, far above those of opaque ones: this bit, 30 bits of the transformation's number,
/// 32 bits of the token's.
const SHAPED: i64 = 1 << 62;
const NUMBERS: u64 = 1 << 32;

/// How a transformation's shaped tokens are made. A value's length or checksum may choose among variants.
#[derive(Debug, Clone)]
pub struct Shape {
    variants: Vec<Variant>,
}

#[derive(Debug, Clone)]
struct Variant {
    slots: Vec<Slot>,
    /// The first slots, which the number does not reach: they are filled from a keyed hash of it.
    filled: usize,
    size: u64,
    /// Captured characters, the checksum included.
    length: usize,
    /// The lengths of the captures, where a token has others than its value.
    parts: Option<Vec<usize>>,
    /// Whether a checksum follows, and whether it is right.
    luhn: Option<bool>,
}

/// One or more characters that are chosen together; all choices have the same length.
#[derive(Debug, Clone)]
struct Slot {
    choices: Vec<Vec<char>>,
    width: usize,
}

/// The keys of one transformation's shape, from the key that never changes.
#[derive(Debug)]
pub struct ShapeKeys {
    permutation: Key,
    fill: MacKey,
    secret: MacKey,
}

impl ShapeKeys {
    #[must_use]
    pub fn new(base: &DataKey) -> Self {
        Self {
            permutation: base.derive(Purpose::Ff1, &[b"shape"]),
            fill: MacKey::new(base.derive(Purpose::TokenChecksum, &[b"shape"])),
            secret: MacKey::new(base.derive(Purpose::TokenMessage, &[b"shape"])),
        }
    }

    /// What stands for the secret that an opaque token carries: made anew from the row's number.
    #[must_use]
    pub fn secret(&self, id: i64) -> TokenSecret {
        let mac = Zeroizing::new(self.secret.mac_raw(&[&id.to_be_bytes()]));
        let mut secret = Zeroizing::new([0; 16]);
        for (to, from) in secret.iter_mut().zip(mac.iter()) {
            *to = *from;
        }
        TokenSecret::from_exposed(secret)
    }
}

/// A value's layout and what its token's captured characters are to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    variant: usize,
}

impl Shape {
    /// What is wrong with the template, if it makes no shape.
    pub fn new(template: &Template, alphabet: &Alphabet) -> Result<Self, &'static str> {
        let variants = match template.built_in() {
            None => {
                let captures =
                    template.pattern().captures().ok_or("has a capture that may be left out, so its tokens would differ in shape")?;
                vec![of_captures(captures.into_iter().map(|hir| slots(hir, Some(alphabet))).collect::<Option<_>>())?]
            }
            Some(built_in) => match built_in.tokens {
                Tokens::Captures(patterns) => {
                    let parts = patterns.iter().map(|pattern| slots(&parsed(pattern)?, None)).collect::<Option<_>>();
                    vec![of_captures(parts)?]
                }
                Tokens::Lengths(patterns) => {
                    let lunar: &[Option<bool>] = if built_in.luhn { &[Some(false), Some(true)] } else { &[None] };
                    let mut variants = Vec::with_capacity(patterns.len() * lunar.len());
                    for (length, pattern) in patterns {
                        for luhn in lunar {
                            let slots = parsed(pattern).and_then(|hir| slots(&hir, None)).ok_or(WIDE)?;
                            variants.push(Variant::new(slots, None, *luhn).filter(|variant| variant.length == *length).ok_or(WIDE)?);
                        }
                    }
                    variants
                }
            },
        };
        if variants.iter().any(|variant| variant.size < goldfin_crypto::ff1::SMALLEST_DOMAIN) {
            return Err(
                "has fewer than 1,000,000 values of one length, so that a shaped token could be guessed; use opaque tokens, or masking",
            );
        }
        Ok(Self { variants })
    }

    /// How many tokens of every variant there are.
    #[must_use]
    pub fn smallest(&self) -> u64 {
        self.variants.iter().map(|variant| variant.size).min().unwrap_or(0)
    }

    /// Where the token of a value stands.
    pub fn place(&self, value: &Taken) -> Result<Place, Misfit> {
        let characters = &value.captured;
        let found = self.variants.iter().position(|variant| match (&variant.parts, variant.luhn) {
            (Some(parts), _) => parts.len() == value.groups.len(),
            (None, luhn) => variant.length == characters.len() && luhn.is_none_or(|right| super::builtin::luhn_holds(characters) == right),
        });
        found.map(|variant| Place { variant }).ok_or(Misfit::Pattern)
    }

    /// The row of the token with a number. Refused near the end, where tokens could be guessed and would soon run out.
    pub fn row(&self, place: Place, transformation: i32, serial: u64) -> Result<i64, Misfit> {
        let variant = self.variants.get(place.variant).ok_or(Misfit::Broken)?;
        if serial >= variant.size - variant.size / 10 {
            return Err(Misfit::Exhausted);
        }
        let many = u64::try_from(self.variants.len()).map_err(|_| Misfit::Broken)?;
        let number = serial
            .checked_mul(many)
            .and_then(|number| number.checked_add(u64::try_from(place.variant).ok()?))
            .filter(|number| *number < NUMBERS)
            .ok_or(Misfit::Exhausted)?;
        row_of(transformation, number).ok_or(Misfit::Broken)
    }

    /// The token of a row, in the layout of its value.
    pub fn render(
        &self,
        keys: &ShapeKeys,
        template: &Template,
        value: (&str, &Taken),
        place: Place,
        row: i64,
    ) -> Result<Zeroizing<String>, Misfit> {
        let variant = self.variants.get(place.variant).ok_or(Misfit::Broken)?;
        let characters = variant.write(keys, place.variant, self.serial(row)?)?;
        let token = match &variant.parts {
            None => value.1.put(&characters)?,
            Some(parts) => {
                let mut rest = characters.iter();
                let parts: Vec<Zeroizing<String>> =
                    parts.iter().map(|length| Zeroizing::new(rest.by_ref().take(*length).collect())).collect();
                value.1.put_parts(value.0, template, &parts)?
            }
        };
        let read = template.take(&token).map_err(|_| Misfit::Ambiguous)?;
        if *read.captured == *characters { Ok(token) } else { Err(Misfit::Ambiguous) }
    }

    /// The row that a token names. None: it is no token of this shape.
    #[must_use]
    pub fn read(&self, keys: &ShapeKeys, template: &Template, transformation: i32, token: &str) -> Option<i64> {
        let shown = template.take(token).ok()?;
        let many = u64::try_from(self.variants.len()).ok()?;
        self.variants.iter().enumerate().find_map(|(at, variant)| {
            let serial = variant.read(keys, at, &shown.captured)?;
            let number = serial.checked_mul(many)?.checked_add(u64::try_from(at).ok()?).filter(|number| *number < NUMBERS)?;
            row_of(transformation, number)
        })
    }

    /// The serial number of a row of this shape.
    pub fn serial(&self, row: i64) -> Result<u64, Misfit> {
        let many = u64::try_from(self.variants.len()).map_err(|_| Misfit::Broken)?;
        u64::try_from(row)
            .map_err(|_| Misfit::Broken)?
            .checked_rem(NUMBERS)
            .and_then(|number| number.checked_div(many))
            .ok_or(Misfit::Broken)
    }
}

const WIDE: &str = "matches texts that no token can be made of, give its captures classes or alternatives of one length";

fn row_of(transformation: i32, number: u64) -> Option<i64> {
    let transformation = i64::from(transformation);
    (0..1 << 30).contains(&transformation).then_some(())?;
    Some(SHAPED | transformation << 32 | i64::try_from(number).ok()?)
}

fn parsed(pattern: &str) -> Option<Hir> {
    Pattern::new(&format!("({pattern})")).ok()?.captures()?.first().map(|hir| (*hir).clone())
}

fn of_captures(parts: Option<Vec<Vec<Slot>>>) -> Result<Variant, &'static str> {
    let parts = parts.ok_or(WIDE)?;
    let lengths = parts.iter().map(|slots| slots.iter().map(|slot| slot.width).sum()).collect();
    Variant::new(parts.into_iter().flatten().collect(), Some(lengths), None).ok_or(WIDE)
}

impl Variant {
    fn new(slots: Vec<Slot>, parts: Option<Vec<usize>>, luhn: Option<bool>) -> Option<Self> {
        if slots.len() > MOST_SLOTS || slots.iter().any(|slot| slot.choices.is_empty()) {
            return None;
        }
        let (mut size, mut filled) = (1_u64, slots.len());
        for slot in slots.iter().rev() {
            match size.checked_mul(u64::try_from(slot.choices.len()).ok()?).filter(|size| *size <= 1 << 63) {
                Some(larger) => (size, filled) = (larger, filled - 1),
                None => break,
            }
        }
        let length = slots.iter().map(|slot| slot.width).sum::<usize>() + usize::from(luhn.is_some());
        Some(Self { slots, filled, size, length, parts, luhn })
    }

    fn permutation(&self, keys: &ShapeKeys) -> Result<NumberPermutation, Misfit> {
        NumberPermutation::new(&keys.permutation, self.size).map_err(|_| Misfit::Broken)
    }

    fn write(&self, keys: &ShapeKeys, at: usize, serial: u64) -> Result<Zeroizing<Vec<char>>, Misfit> {
        let mut number = self.permutation(keys)?.forward(&tweak(at), serial).map_err(|_| Misfit::Exhausted)?;
        let (filled, counted) = self.slots.split_at_checked(self.filled).ok_or(Misfit::Broken)?;
        let mut chosen: Vec<&[char]> = Vec::with_capacity(self.slots.len());
        for slot in counted.iter().rev() {
            let many = u64::try_from(slot.choices.len()).map_err(|_| Misfit::Broken)?;
            chosen.push(slot.choice(number % many)?);
            number /= many;
        }
        for (place, slot) in filled.iter().enumerate().rev() {
            let mac = keys.fill.mac_raw(&[&tweak(at), &serial.to_be_bytes(), &u64::try_from(place).unwrap_or(u64::MAX).to_be_bytes()]);
            let random = mac.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
            chosen.push(slot.choice(random % u64::try_from(slot.choices.len()).map_err(|_| Misfit::Broken)?)?);
        }
        let mut written = Zeroizing::new(Vec::with_capacity(self.length));
        for characters in chosen.into_iter().rev() {
            written.extend_from_slice(characters);
        }
        if let Some(right) = self.luhn {
            let check = checksum(&written, right).ok_or(Misfit::Broken)?;
            written.push(check);
        }
        Ok(written)
    }

    fn read(&self, keys: &ShapeKeys, at: usize, shown: &[char]) -> Option<u64> {
        if shown.len() != self.length {
            return None;
        }
        let mut rest = shown;
        let mut number = 0_u64;
        for (place, slot) in self.slots.iter().enumerate() {
            let (characters, behind) = rest.split_at_checked(slot.width)?;
            let chosen = slot.choices.iter().position(|choice| choice == characters)?;
            if place >= self.filled {
                number = number.checked_mul(u64::try_from(slot.choices.len()).ok()?)?.checked_add(u64::try_from(chosen).ok()?)?;
            }
            rest = behind;
        }
        let serial = self.permutation(keys).ok()?.backward(&tweak(at), number).ok()?;
        // What the number does not reach must be what goldfin would have written.
        (*self.write(keys, at, serial).ok()? == *shown).then_some(serial)
    }
}

impl Slot {
    fn choice(&self, at: u64) -> Result<&[char], Misfit> {
        usize::try_from(at).ok().and_then(|at| self.choices.get(at)).map(Vec::as_slice).ok_or(Misfit::Broken)
    }
}

fn tweak(variant: usize) -> [u8; 8] {
    u64::try_from(variant).unwrap_or(u64::MAX).to_be_bytes()
}

fn checksum(digits: &[char], right: bool) -> Option<char> {
    let check = luhn_digit(digits)?;
    if right { Some(check) } else { char::from_digit((check.to_digit(10)? + 5) % 10, 10) }
}

/// The places that a capture is written in. None where its strings have no one length or are no finite choice.
fn slots(hir: &Hir, alphabet: Option<&Alphabet>) -> Option<Vec<Slot>> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(Vec::new()),
        HirKind::Literal(_) | HirKind::Class(_) => one_slot(strings(hir, alphabet)?).map(|slot| vec![slot]),
        HirKind::Capture(capture) => slots(&capture.sub, alphabet),
        HirKind::Concat(subs) => {
            let parts: Vec<Vec<Slot>> = subs.iter().map(|sub| slots(sub, alphabet)).collect::<Option<_>>()?;
            Some(parts.into_iter().flatten().collect())
        }
        HirKind::Alternation(subs) => {
            if let Some(slot) = strings(hir, alphabet).and_then(one_slot) {
                return Some(vec![slot]);
            }
            let size = |slots: &Vec<Slot>| slots.iter().fold(1_u128, |size, slot| size.saturating_mul(slot.choices.len() as u128));
            subs.iter().filter_map(|sub| slots(sub, alphabet)).max_by_key(size)
        }
        HirKind::Repetition(repetition) => {
            let times = match repetition.max {
                Some(max) if max <= 32 => max,
                _ => repetition.min.max(USUAL_TIMES),
            };
            let sub = slots(&repetition.sub, alphabet)?;
            let times = usize::try_from(times).ok().filter(|times| times.saturating_mul(sub.len()) <= MOST_SLOTS)?;
            Some(std::iter::repeat_n(sub, times).flatten().collect())
        }
    }
}

fn one_slot(mut choices: Vec<Vec<char>>) -> Option<Slot> {
    choices.sort_unstable();
    choices.dedup();
    let width = choices.first()?.len();
    choices.iter().all(|choice| choice.len() == width).then_some(Slot { choices, width })
}

/// All strings, if they are few.
fn strings(hir: &Hir, alphabet: Option<&Alphabet>) -> Option<Vec<Vec<char>>> {
    let found = match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => vec![Vec::new()],
        HirKind::Literal(literal) => vec![std::str::from_utf8(&literal.0).ok()?.chars().collect()],
        HirKind::Class(class) => letters(class, alphabet).into_iter().map(|letter| vec![letter]).collect(),
        HirKind::Capture(capture) => strings(&capture.sub, alphabet)?,
        HirKind::Alternation(subs) => {
            let mut all = Vec::new();
            for sub in subs {
                all.extend(strings(sub, alphabet)?);
            }
            all
        }
        HirKind::Concat(subs) => subs.iter().try_fold(vec![Vec::new()], |all, sub| product(&all, &strings(sub, alphabet)?))?,
        HirKind::Repetition(repetition) => {
            let times = repetition.max.filter(|max| *max == repetition.min && *max <= 16)?;
            let sub = strings(&repetition.sub, alphabet)?;
            (0..times).try_fold(vec![Vec::new()], |all, _| product(&all, &sub))?
        }
    };
    (found.len() <= MOST_CHOICES || matches!(hir.kind(), HirKind::Class(_))).then_some(found)
}

fn product(all: &[Vec<char>], more: &[Vec<char>]) -> Option<Vec<Vec<char>>> {
    if all.len().saturating_mul(more.len()) > MOST_CHOICES {
        return None;
    }
    Some(all.iter().flat_map(|head| more.iter().map(move |tail| head.iter().chain(tail).copied().collect())).collect())
}

#[cfg(test)]
mod tests;
