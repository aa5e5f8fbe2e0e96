//! Checkpoints: signed notes (C2SP signed-note) whose text is a tree's origin, size and root (C2SP tlog-checkpoint).
//!
//! A note is believed only once a key verified it: [`Checkpoint::open`] is the only way from a note to its text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use goldfin_crypto::digest::{hex, sha256};
use goldfin_crypto::signing::PUBLIC_KEY_BYTES;
use goldfin_crypto::{CryptoError, SigningKey, VerifyingKey};

/// The type of an Ed25519 signature among those of signed notes.
const ED25519: u8 = 1;

/// The longest note that is read.
pub const LONGEST: usize = 16_384;

/// The most signature lines of a note.
const SIGNATURES: usize = 16;

/// Why a note or a key is refused. The text says what it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoteError(pub &'static str);

impl std::fmt::Display for NoteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for NoteError {}

/// The public key of a ledger, which names the ledger and its streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogKey(VerifyingKey);

impl LogKey {
    #[must_use]
    pub fn new(key: VerifyingKey) -> Self {
        Self(key)
    }

    /// `goldfin/` and 16 digits: whoever holds the key knows it, and nobody can give a ledger another one.
    #[must_use]
    pub fn log_id(&self) -> String {
        format!("goldfin/{}", hex(&sha256(&[&self.0.0])).get(..16).unwrap_or_default())
    }

    /// What the first line of a stream's checkpoints is.
    #[must_use]
    pub fn origin(&self, stream: i32) -> String {
        format!("{}/{stream}", self.log_id())
    }

    /// The key's file: a verifier key, one line without its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        verifier_line(&self.log_id(), ED25519, self.0)
    }

    /// Reads a verifier key whose name is that of this key's log or of one of its streams.
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        const FORM: NoteError = NoteError("the public key is not of the form NAME+KEYID+BASE64, as `goldfin audit key` prints it");
        let mut parts = line.trim_end_matches('\n').splitn(3, '+');
        let (Some(name), Some(id), Some(public)) = (parts.next(), parts.next(), parts.next()) else { return Err(FORM) };
        let public = STANDARD.decode(public).map_err(|_| FORM)?;
        let (&kind, public) = public.split_first().ok_or(FORM)?;
        let public: [u8; PUBLIC_KEY_BYTES] = public.try_into().map_err(|_| FORM)?;
        let key = Self(VerifyingKey(public));
        if kind != ED25519 {
            return Err(NoteError("the public key is not of Ed25519"));
        }
        if hex(&key.key_id(name)) != id || (name != key.log_id() && key.stream_of(name).is_none()) {
            return Err(NoteError("the public key's name and id are not its own"));
        }
        Ok(key)
    }

    /// The stream that an origin of this log names.
    #[must_use]
    pub fn stream_of(&self, origin: &str) -> Option<i32> {
        let number: i32 = origin.strip_prefix(&self.log_id())?.strip_prefix('/')?.parse().ok()?;
        (number > 0 && self.origin(number) == origin).then_some(number)
    }

    fn key_id(&self, name: &str) -> [u8; 4] {
        key_id(name, ED25519, self.0)
    }
}

/// C2SP signed-note, section Signatures.
pub(crate) fn key_id(name: &str, kind: u8, key: VerifyingKey) -> [u8; 4] {
    let [a, b, c, d, ..] = sha256(&[name.as_bytes(), b"\n", &[kind], &key.0]);
    [a, b, c, d]
}

/// A line of a verifier key: `NAME+KEYID+BASE64`.
pub(crate) fn verifier_line(name: &str, kind: u8, key: VerifyingKey) -> String {
    let mut public = vec![kind];
    public.extend_from_slice(&key.0);
    format!("{name}+{}+{}", hex(&key_id(name, kind, key)), STANDARD.encode(public))
}

/// The name of a key of this kind, and the key. The key's ID must be its own.
pub(crate) fn parse_verifier(line: &str, kind: u8) -> Option<(&str, VerifyingKey)> {
    let mut parts = line.trim_end_matches('\n').splitn(3, '+');
    let (name, id, public) = (parts.next()?, parts.next()?, STANDARD.decode(parts.next()?).ok()?);
    let (_, public) = public.split_first().filter(|(its, _)| **its == kind)?;
    let public: [u8; PUBLIC_KEY_BYTES] = public.try_into().ok()?;
    let key = VerifyingKey(public);
    (is_key_name(name) && hex(&key_id(name, kind, key)) == id).then_some((name, key))
}

pub(crate) fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c == '+')
}

/// What a note's signatures are over, and the lines of its signatures.
pub(crate) fn text_and_signatures(note: &str) -> Option<(&str, &str)> {
    let (lines, signatures) = note.rsplit_once("\n\n")?;
    Some((note.get(..=lines.len())?, signatures))
}

/// What a checkpoint says: the root of a stream's tree at a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    pub stream: i32,
    pub size: u64,
    pub root: [u8; 32],
}

impl Checkpoint {
    /// The signed note.
    pub fn sign(&self, key: &SigningKey) -> Result<String, CryptoError> {
        let log = LogKey(key.verifying_key());
        let origin = log.origin(self.stream);
        let text = format!("{origin}\n{}\n{}\n", self.size, STANDARD.encode(self.root));
        let mut signature = log.key_id(&origin).to_vec();
        signature.extend_from_slice(&key.sign(text.as_bytes())?);
        Ok(format!("{text}\n\u{2014} {origin} {}\n", STANDARD.encode(signature)))
    }

    /// Reads a note that a stream of this log signed.
    pub fn open(note: &[u8], key: &LogKey) -> Result<Self, NoteError> {
        const FORM: NoteError = NoteError("it is not a checkpoint: a signed note of three lines");
        if note.len() > LONGEST {
            return Err(FORM);
        }
        let note = std::str::from_utf8(note).map_err(|_| FORM)?;
        if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(FORM);
        }
        let (text, signatures) = text_and_signatures(note).ok_or(FORM)?;
        let mut lines = text.strip_suffix('\n').ok_or(FORM)?.split('\n');
        let (Some(origin), Some(size), Some(root), None) = (lines.next(), lines.next(), lines.next(), lines.next()) else {
            return Err(FORM);
        };
        let stream = key.stream_of(origin).ok_or(NoteError("the checkpoint is of another ledger than the public key"))?;
        key.check_signatures(origin, text, signatures, FORM)?;
        let canonical = size.bytes().all(|digit| digit.is_ascii_digit()) && !size.starts_with('0');
        let size: u64 = if canonical { size.parse().map_err(|_| FORM)? } else { return Err(FORM) };
        i64::try_from(size).map_err(|_| FORM)?;
        let root = STANDARD.decode(root).ok().and_then(|root| root.try_into().ok()).ok_or(FORM)?;
        Ok(Self { stream, size, root })
    }
}

impl LogKey {
    /// Every signature of the origin's key must verify, and there must be one; those of others are passed over.
    fn check_signatures(&self, origin: &str, text: &str, signatures: &str, form: NoteError) -> Result<(), NoteError> {
        let lines = signatures.strip_suffix('\n').ok_or(form)?;
        let id = self.key_id(origin);
        let mut verified = false;
        for (at, line) in lines.split('\n').enumerate() {
            let (name, signature) = line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' ')).ok_or(form)?;
            let signature = STANDARD.decode(signature).map_err(|_| form)?;
            let (its_id, signature) = signature.split_first_chunk::<4>().ok_or(form)?;
            if !is_key_name(name) || signature.is_empty() || at >= SIGNATURES {
                return Err(form);
            }
            if name == origin && *its_id == id {
                if !self.0.verifies(text.as_bytes(), signature) {
                    return Err(NoteError("the checkpoint's signature does not verify"));
                }
                verified = true;
            }
        }
        if verified { Ok(()) } else { Err(NoteError("the checkpoint has no signature of this ledger")) }
    }
}

#[cfg(test)]
mod tests;
