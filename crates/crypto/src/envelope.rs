//! The stored form of everything encrypted: header, ciphertext, tag. Frozen by `tests/vectors/crypto`.
//!
//! ```text
//! format 1 | algorithm 1 | key id 4 | key version 4 | nonce 12 | ciphertext n | tag 16     (big endian)
//! ```
//! AES-256-GCM, SP 800-38D. The whole header is authenticated: the nonce by the mode, the rest as associated data.

use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::consts::U12;
use aes_gcm::aes::Aes256Enc;
use aes_gcm::{AesGcm, Nonce, Tag};
use zeroize::Zeroizing;

use crate::data_key::KeyId;
use crate::error::CryptoError;
use crate::locator::{Place, associated_data};
use crate::random;

/// AES-256-GCM with the schedule for one direction of AES: the mode never uses the other (SP 800-38D, 7.1 and 7.2).
pub(crate) type Cipher = AesGcm<Aes256Enc, U12>;

/// The format that this release writes.
pub(crate) const FORMAT: u8 = 1;
pub(crate) const HEADER_BYTES: usize = 22;
pub(crate) const TAG_BYTES: usize = 16;

/// What is inside. Part of the associated data, so data never passes for a key, nor a key for data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Algorithm {
    /// AES-256-GCM over data.
    Data = 1,
    /// AES-256-GCM over a key: 4 bytes id, 4 bytes version, 32 bytes key.
    NamedKey = 2,
    /// AES-256-GCM over a key without a name: 32 bytes.
    BareKey = 3,
}

/// A header and the two halves behind it, borrowed from stored bytes.
#[derive(Debug)]
pub(crate) struct Parsed<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) key: KeyId,
    nonce: &'a [u8; 12],
    body: &'a [u8],
    tag: &'a [u8; TAG_BYTES],
}

/// Reads the header. [`CryptoError::Malformed`] for another format, an unknown algorithm, or too few bytes.
pub(crate) fn parse(stored: &[u8]) -> Result<Parsed<'_>, CryptoError> {
    split(stored).ok_or(CryptoError::Malformed)
}

/// Encrypts under a nonce made here and returns the stored form.
pub(crate) fn encrypt<P: Place>(
    cipher: &Cipher,
    key: KeyId,
    algorithm: Algorithm,
    place: &P,
    plaintext: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    let mut nonce = [0; 12];
    random::fill(&mut nonce)?;
    let data = associated_data(place, key, algorithm as u8);
    let mut stored = Vec::with_capacity(HEADER_BYTES + plaintext.len() + TAG_BYTES);
    stored.extend_from_slice(&[FORMAT, algorithm as u8]);
    stored.extend_from_slice(&key.id.to_be_bytes());
    stored.extend_from_slice(&key.version.to_be_bytes());
    stored.extend_from_slice(&nonce);
    stored.extend_from_slice(plaintext);
    let (_, body) = stored.split_at_mut(HEADER_BYTES);
    let tag = cipher.encrypt_inout_detached(&Nonce::from(nonce), &data, body.into()).map_err(|_| CryptoError::TooLarge)?;
    stored.extend_from_slice(&tag);
    Ok(stored)
}

/// Decrypts what stands at `place` under the key that the header names. The caller has matched key and algorithm.
/// [`CryptoError::Integrity`] if the tag does not verify.
pub(crate) fn decrypt<P: Place>(cipher: &Cipher, place: &P, parsed: &Parsed<'_>) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let data = associated_data(place, parsed.key, parsed.algorithm as u8);
    let mut plaintext = Zeroizing::new(parsed.body.to_vec());
    cipher
        .decrypt_inout_detached(&Nonce::from(*parsed.nonce), &data, plaintext.as_mut_slice().into(), &Tag::from(*parsed.tag))
        .map_err(|_| CryptoError::Integrity)?;
    Ok(plaintext)
}

fn split(stored: &[u8]) -> Option<Parsed<'_>> {
    let (&[format, algorithm], rest) = stored.split_first_chunk()?;
    let (id, rest) = rest.split_first_chunk()?;
    let (version, rest) = rest.split_first_chunk()?;
    let (nonce, rest) = rest.split_first_chunk()?;
    let (body, tag) = rest.split_last_chunk()?;
    let algorithm = match algorithm {
        1 => Algorithm::Data,
        2 => Algorithm::NamedKey,
        3 => Algorithm::BareKey,
        _ => return None,
    };
    (format == FORMAT).then_some(Parsed {
        algorithm,
        key: KeyId { id: u32::from_be_bytes(*id), version: u32::from_be_bytes(*version) },
        nonce,
        body,
        tag,
    })
}

impl Parsed<'_> {
    pub(crate) fn body_bytes(&self) -> usize {
        self.body.len()
    }
}
