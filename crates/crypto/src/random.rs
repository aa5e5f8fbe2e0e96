//! The only source of randomness in the strongroom.
//!
//! Keys come straight from the operating system. Nonces and token secrets come from a ChaCha12 generator per thread,
//! seeded and reseeded from it. `rand::rng()` is deliberately not used: it panics when its first seed fails and
//! keeps an old seed when a later one does; here both are [`CryptoError::Random`]. The process must not fork.

use std::cell::RefCell;

use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng, TryRng};
use zeroize::Zeroizing;

use crate::error::CryptoError;

/// Fills `buffer` from the thread's generator: nonces, token secrets, salts. About 20 ns.
pub fn fill(buffer: &mut [u8]) -> Result<(), CryptoError> {
    GENERATOR
        .try_with(|cell| {
            let mut slot = cell.try_borrow_mut().map_err(|_| CryptoError::Random)?;
            let generator = match slot.as_mut() {
                Some(generator) if generator.left >= buffer.len() => generator,
                _ => slot.insert(Generator::seeded(buffer.len())?),
            };
            generator.left -= buffer.len();
            generator.rng.fill_bytes(buffer);
            Ok(())
        })
        .map_err(|_| CryptoError::Random)?
}

/// Fills `buffer` from the operating system: keys and share coefficients. About 300 ns for 32 bytes.
pub(crate) fn fill_key(buffer: &mut [u8]) -> Result<(), CryptoError> {
    #[cfg(test)]
    if tests::BROKEN.get() {
        return Err(CryptoError::Random);
    }
    SysRng.try_fill_bytes(buffer).map_err(|_| CryptoError::Random)
}

struct Generator {
    rng: StdRng,
    left: usize,
}

impl Generator {
    fn seeded(at_least: usize) -> Result<Self, CryptoError> {
        let mut seed = Zeroizing::new([0; 32]);
        fill_key(seed.as_mut_slice())?;
        Ok(Self { rng: StdRng::from_seed(*seed), left: at_least.max(RESEED_BYTES) })
    }
}

/// Bytes between two seeds, as in rand's own thread generator.
const RESEED_BYTES: usize = 64 * 1024;

thread_local! {
    static GENERATOR: RefCell<Option<Generator>> = const { RefCell::new(None) };
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        pub(crate) static BROKEN: Cell<bool> = const { Cell::new(false) };
    }

    /// Runs `work` on a thread of its own where the operating system gives no randomness.
    pub(crate) fn without_randomness<T: Send>(work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    BROKEN.set(true);
                    work()
                })
                .join()
                .unwrap()
        })
    }

    #[test]
    fn no_randomness_is_an_error() {
        without_randomness(|| {
            assert_eq!(fill(&mut [0; 12]), Err(CryptoError::Random));
            assert_eq!(fill_key(&mut [0; 32]), Err(CryptoError::Random));
        });
    }

    #[test]
    fn a_failed_reseed_is_an_error() {
        std::thread::spawn(|| {
            fill(&mut [0; 12]).unwrap();
            BROKEN.set(true);
            fill(&mut [0; 12]).unwrap();
            assert_eq!(fill(&mut vec![0; RESEED_BYTES]), Err(CryptoError::Random));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn bytes_differ_and_large_buffers_are_filled() {
        let (mut a, mut b) = (vec![0; 3 * RESEED_BYTES], vec![0; 3 * RESEED_BYTES]);
        fill(&mut a).unwrap();
        fill(&mut b).unwrap();
        assert_ne!(a, b);
        assert!(a.chunks(64).all(|chunk| chunk.iter().any(|byte| *byte != 0)));
    }
}
