//! Witnesses: their cosignatures (C2SP tlog-cosignature, `cosignature/v1`), and what a log sends them for one (C2SP tlog-witness,
//! `add-checkpoint`).
//!
//! A witness remembers for each log how far it has seen it, and cosigns only what continues that.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use goldfin_crypto::digest::{hex, sha256};
use goldfin_crypto::{CryptoError, SigningKey, VerifyingKey};

use crate::note::{LONGEST, NoteError, is_key_name, key_id, parse_verifier, text_and_signatures, verifier_line};

/// The type of an Ed25519 cosignature among the signatures of notes.
const COSIGNATURE: u8 = 4;

/// The most hashes of a proof that is submitted.
const HASHES: usize = 63;

/// The longest submission that is read: the old size, the proof, the note.
pub const LONGEST_SUBMISSION: usize = 32 + HASHES * 45 + LONGEST;

/// A witness: its name and its public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    key: VerifyingKey,
}

/// What a witness said of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    /// The line of the note, with its end.
    pub line: String,
    /// When, in seconds since 1970.
    pub time: u64,
}

impl WitnessKey {
    /// A goldfin's key as a witness names itself: whoever holds the key knows the name.
    #[must_use]
    pub fn of_goldfin(key: VerifyingKey) -> Self {
        Self { name: format!("goldfin-witness/{}", hex(&sha256(&[&key.0])).get(..16).unwrap_or_default()), key }
    }

    /// Reads a verifier key whose type is that of cosignatures.
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        let (name, key) = parse_verifier(line, COSIGNATURE)
            .ok_or(NoteError("the witness's key is not of the form NAME+KEYID+BASE64 with an Ed25519 key for cosignatures"))?;
        Ok(Self { name: name.to_owned(), key })
    }

    /// The verifier key, one line without its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        verifier_line(&self.name, COSIGNATURE, self.key)
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Signs what a note says, as seen at a time in seconds since 1970. The line has its end.
    pub fn cosign(&self, note: &str, key: &SigningKey, time: u64) -> Result<String, CryptoError> {
        let (text, _) = text_and_signatures(note).ok_or(CryptoError::Malformed)?;
        let mut signature = key_id(&self.name, COSIGNATURE, self.key).to_vec();
        signature.extend_from_slice(&time.to_be_bytes());
        signature.extend_from_slice(&key.sign(message(text, time).as_bytes())?);
        Ok(format!("\u{2014} {} {}\n", self.name, STANDARD.encode(signature)))
    }

    /// This witness's cosignature of what a note says, among lines of signatures. Those of others are passed over.
    pub fn cosigned(&self, note: &str, lines: &str) -> Result<Cosignature, NoteError> {
        let (text, _) = text_and_signatures(note).ok_or(NoteError("what was cosigned is no note"))?;
        for line in lines.split_inclusive('\n') {
            let parts = line.strip_prefix("\u{2014} ").and_then(|rest| rest.strip_suffix('\n')?.split_once(' '));
            let Some((name, signature)) = parts else { return Err(NoteError("the witness's answer is not lines of signatures")) };
            let signature = STANDARD.decode(signature).unwrap_or_default();
            let Some((id, stamped)) = signature.split_first_chunk::<4>() else { continue };
            if name != self.name || *id != key_id(name, COSIGNATURE, self.key) {
                continue;
            }
            let Some((time, signature)) = stamped.split_first_chunk::<8>() else { continue };
            let time = u64::from_be_bytes(*time);
            if i64::try_from(time).is_err() || !self.key.verifies(message(text, time).as_bytes(), signature) {
                return Err(NoteError("the witness's cosignature does not verify"));
            }
            return Ok(Cosignature { line: line.to_owned(), time });
        }
        Err(NoteError("the answer holds no cosignature of this witness"))
    }
}

fn message(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// What is sent to a witness: a checkpoint, and the proof that it continues the one that the witness has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The size that the witness has seen; 0 where it has seen nothing.
    pub old: u64,
    pub proof: Vec<[u8; 32]>,
    pub note: String,
}

impl Submission {
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("old {}\n", self.old);
        for hash in &self.proof {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{}", STANDARD.encode(hash));
        }
        text.push('\n');
        text.push_str(&self.note);
        text
    }

    /// None where it is not of the form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (head, note) = text.split_once("\n\n").filter(|_| text.len() <= LONGEST_SUBMISSION)?;
        let mut lines = head.split('\n');
        let digits = lines.next()?.strip_prefix("old ")?;
        let canonical = digits == "0" || (!digits.starts_with('0') && digits.bytes().all(|digit| digit.is_ascii_digit()));
        let old = if canonical { digits.parse().ok()? } else { return None };
        let proof: Vec<[u8; 32]> = lines.map(|line| STANDARD.decode(line).ok()?.try_into().ok()).collect::<Option<_>>()?;
        (proof.len() <= HASHES).then(|| Self { old, proof, note: note.to_owned() })
    }
}

/// The first line of a note: which log and stream it says that it is of. Nothing is verified.
#[must_use]
pub fn origin_of(note: &str) -> Option<&str> {
    note.split('\n').next().filter(|origin| is_key_name(origin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use goldfin_crypto::{Key, Zeroizing};

    fn signing(seed: u8) -> SigningKey {
        SigningKey::new(Key::from_exposed(Zeroizing::new([seed; 32]))).unwrap()
    }

    const NOTE: &str = "goldfin/0123456789abcdef/1\n12\nAAAA\n\n\u{2014} goldfin/0123456789abcdef/1 c3ludGhldGlj\n";

    #[test]
    fn a_cosignature_verifies_for_its_witness_its_text_and_its_time() {
        let key = signing(5);
        let witness = WitnessKey::of_goldfin(key.verifying_key());
        assert_eq!(WitnessKey::parse(&(witness.to_line() + "\n")), Ok(witness.clone()));
        let line = witness.cosign(NOTE, &key, 1_679_315_147).unwrap();
        let said = witness.cosigned(NOTE, &line).unwrap();
        assert_eq!((said.time, &said.line), (1_679_315_147, &line));
        let stranger = WitnessKey::of_goldfin(signing(6).verifying_key());
        let other = stranger.cosign(NOTE, &signing(6), 1).unwrap();
        assert_eq!(witness.cosigned(NOTE, &format!("{other}{line}")).map(|said| said.time), Ok(1_679_315_147));
        assert!(witness.cosigned(NOTE, &other).is_err());
        assert!(witness.cosigned(&NOTE.replace("\n12\n", "\n13\n"), &line).is_err());
        assert!(witness.cosigned(NOTE, "nonsense").is_err());
        assert!(witness.cosigned(NOTE, "").is_err());
        let forged = WitnessKey { name: witness.name.clone(), key: witness.key }.cosign(NOTE, &signing(6), 7).unwrap();
        assert!(witness.cosigned(NOTE, &forged).is_err(), "under another key");
        for (at, _) in line.char_indices().filter(|(_, character)| character.is_ascii_alphanumeric()) {
            let mut changed = line.clone();
            let replacement = if line.get(at..=at) == Some("A") { "B" } else { "A" };
            changed.replace_range(at..=at, replacement);
            assert!(witness.cosigned(NOTE, &changed).is_err(), "{changed}");
        }
    }

    /// The vector of C2SP tlog-cosignature cannot be checked, its key is not given; this is what its message must be.
    #[test]
    fn the_message_is_that_of_the_specification() {
        let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        assert_eq!(message(text, 1_679_315_147), format!("cosignature/v1\ntime 1679315147\n{text}"));
    }

    #[test]
    fn other_keys_are_no_witnesses() {
        let key = signing(5);
        let line = WitnessKey::of_goldfin(key.verifying_key()).to_line();
        assert!(WitnessKey::parse(&crate::note::LogKey::new(key.verifying_key()).to_line()).is_err(), "a log's key");
        for wrong in ["", "a+b", &line.replace("goldfin", "silverfin"), &line.replace('+', " ")] {
            assert!(WitnessKey::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_submission_reads_back_and_nothing_else_does() {
        let submission = Submission { old: 7, proof: vec![[1; 32], [2; 32]], note: NOTE.to_owned() };
        let text = submission.to_text();
        assert_eq!(Submission::parse(&text), Some(submission));
        let first = Submission { old: 0, proof: Vec::new(), note: NOTE.to_owned() };
        assert_eq!(Submission::parse(&first.to_text()), Some(first));
        assert_eq!(origin_of(NOTE), Some("goldfin/0123456789abcdef/1"));
        let many = "old 1\n".to_owned() + &(STANDARD.encode([0; 32]) + "\n").repeat(64) + "\n" + NOTE;
        for wrong in [
            "",
            "old 7\n",
            &text.replace("old 7", "old 07"),
            &text.replace("old 7", "old +7"),
            &text.replace("old 7", "old "),
            &text.replace("old 7", "new 7"),
            &text.replace("old 7\n", "old 7\nAAAA\n"),
            &text.replace("old 7\n", "old 7\n!\n"),
            &many,
        ] {
            assert_eq!(Submission::parse(wrong), None, "{wrong}");
        }
    }
}
