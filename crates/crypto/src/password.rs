//! argon2id (RFC 9106) for secrets that people choose. Random credentials use keyed hashes instead.
//!
//! One call takes 20 to 35 ms and 19 MiB: run it off the async threads and behind a limit.

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordVerifier, Version};

use crate::error::CryptoError;
use crate::plaintext::Plaintext;
use crate::random;

/// Memory in KiB: 19 MiB, with [`PASSES`] and [`LANES`] the minimum that OWASP recommends for argon2id.
pub const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over the memory.
pub const PASSES: u32 = 2;
/// Lanes.
pub const LANES: u32 = 1;
/// The longest passphrase, in bytes.
pub const MAX_PASSPHRASE_BYTES: usize = 1024;

/// A PHC string (`$argon2id$v=19$m=19456,t=2,p=1$salt$hash`) with a random salt of 16 bytes and a hash of 32.
/// [`CryptoError::TooLarge`] above 1,024 bytes, [`CryptoError::Random`].
pub fn hash(passphrase: &Plaintext) -> Result<String, CryptoError> {
    if passphrase.len() > MAX_PASSPHRASE_BYTES {
        return Err(CryptoError::TooLarge);
    }
    let mut salt = [0; 16];
    random::fill(&mut salt)?;
    let hash: PasswordHash = hasher()?.hash_password_with_salt(passphrase.expose(), &salt).map_err(|_| CryptoError::Malformed)?;
    Ok(hash.to_string())
}

/// Whether the passphrase is the one behind the PHC string; compared in constant time.
/// [`CryptoError::Malformed`] if the string is no argon2id hash within the limits below: a stored string must not
/// be able to ask for gigabytes.
pub fn verify(passphrase: &Plaintext, stored: &str) -> Result<bool, CryptoError> {
    if passphrase.len() > MAX_PASSPHRASE_BYTES {
        return Ok(false);
    }
    let parsed = PasswordHash::new(stored).map_err(|_| CryptoError::Malformed)?;
    let params = Params::try_from(&parsed).map_err(|_| CryptoError::Malformed)?;
    let bounded = params.m_cost() <= MAX_MEMORY_KIB
        && params.t_cost() <= MAX_PASSES
        && params.p_cost() <= MAX_LANES
        && parsed.algorithm.as_str() == "argon2id"
        && parsed.hash.as_ref().is_some_and(|hash| hash.len() >= 32);
    if !bounded {
        return Err(CryptoError::Malformed);
    }
    Ok(hasher()?.verify_password(passphrase.expose(), &parsed).is_ok())
}

fn hasher() -> Result<Argon2<'static>, CryptoError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(32)).map_err(|_| CryptoError::Malformed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

const MAX_MEMORY_KIB: u32 = 64 * 1024;
const MAX_PASSES: u32 = 8;
const MAX_LANES: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Plaintext {
        Plaintext::from_text(text.into())
    }

    #[test]
    fn the_right_passphrase_and_no_other() {
        let stored = hash(&secret("synthetic passphrase")).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_eq!(verify(&secret("synthetic passphrase"), &stored), Ok(true));
        assert_eq!(verify(&secret("synthetic passphrasf"), &stored), Ok(false));
        assert_ne!(hash(&secret("synthetic passphrase")).unwrap(), stored);
    }

    #[test]
    fn a_stored_hash_cannot_ask_for_more_than_the_limits() {
        let tail = "$c3ludGhldGljc2FsdDEyMw$3rkZ9hGFCNxGPqy7nJEVmUlzuNc9rbQ0tMGx2Qb0Z5Y";
        for head in [
            "$argon2id$v=19$m=4194304,t=2,p=1",
            "$argon2id$v=19$m=19456,t=4000000,p=1",
            "$argon2id$v=19$m=19456,t=2,p=255",
            "$argon2i$v=19$m=19456,t=2,p=1",
            "$argon2d$v=19$m=19456,t=2,p=1",
        ] {
            let stored = format!("{head}{tail}");
            let answer = verify(&secret("synthetic"), &stored);
            assert_eq!(answer, Err(CryptoError::Malformed), "{head}");
        }
        for stored in ["", "$", "plain text", "$argon2id$v=19$m=19456,t=2,p=1"] {
            let answer = verify(&secret("synthetic"), stored);
            assert_eq!(answer, Err(CryptoError::Malformed), "{stored}");
        }
    }

    #[test]
    fn a_passphrase_of_megabytes_costs_nothing() {
        let long = Plaintext::new(vec![b'x'; MAX_PASSPHRASE_BYTES + 1]);
        assert_eq!(hash(&long), Err(CryptoError::TooLarge));
        assert_eq!(verify(&long, "anything"), Ok(false));
    }
}
