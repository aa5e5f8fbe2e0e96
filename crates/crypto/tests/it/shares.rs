//! Any threshold of shares gives the key; fewer, wrong or repeated ones do not.

use goldfin_crypto::shamir::{combine, split};
use goldfin_crypto::{CryptoError, Key, Share, Zeroizing};
use proptest::prelude::*;
use proptest::sample::subsequence;

fn key(bytes: [u8; 32]) -> Key {
    Key::from_exposed(Zeroizing::new(bytes))
}

fn again(share: &Share) -> Share {
    Share::from_bytes(share.to_bytes().as_slice()).unwrap()
}

#[test]
fn impossible_thresholds_are_refused() {
    let key = Key::generate().unwrap();
    for (shares, threshold) in [(0, 0), (1, 0), (0, 1), (2, 3), (254, 255)] {
        let error = split(&key, shares, threshold).map(|_| ());
        assert_eq!(error, Err(CryptoError::Threshold));
    }
}

#[test]
fn one_of_one_is_the_key_itself() {
    let key = Key::generate().unwrap();
    let shares = split(&key, 1, 1).unwrap();
    assert_eq!(shares[0].to_bytes()[..32], key.expose_bytes()[..]);
    assert_eq!((shares.len(), shares[0].number()), (1, 1));
    assert_eq!(combine(&shares).unwrap().expose_bytes(), key.expose_bytes());
}

#[test]
fn all_255_of_255() {
    let key = Key::generate().unwrap();
    let shares = split(&key, 255, 255).unwrap();
    assert_eq!(combine(&shares).unwrap().expose_bytes(), key.expose_bytes());
    assert_ne!(combine(&shares[1..]).unwrap().expose_bytes(), key.expose_bytes());
}

#[test]
fn repeated_or_no_shares_are_refused() {
    let shares = split(&Key::generate().unwrap(), 3, 2).unwrap();
    let twice = [again(&shares[0]), again(&shares[1]), again(&shares[0])];
    assert_eq!(combine(&twice).map(|_| ()), Err(CryptoError::Shares));
    assert_eq!(combine(&[]).map(|_| ()), Err(CryptoError::Shares));
}

#[test]
fn stored_shares_have_33_bytes_and_a_number() {
    for bytes in [vec![], vec![1], vec![1; 32], vec![1; 34], [vec![1; 32], vec![0]].concat()] {
        let error = Share::from_bytes(&bytes).map(|_| ());
        assert_eq!(error, Err(CryptoError::Malformed));
    }
    let share = &split(&Key::generate().unwrap(), 3, 2).unwrap()[2];
    assert_eq!(share.to_bytes()[32], 3);
    assert_eq!(again(share).to_bytes(), share.to_bytes());
    assert_eq!(format!("{share:?}"), "Share(..)");
}

#[test]
fn shares_of_two_splits_do_not_mix() {
    let key = Key::generate().unwrap();
    let (one, other) = (split(&key, 3, 2).unwrap(), split(&key, 3, 2).unwrap());
    let mixed = combine(&[again(&one[0]), again(&other[1])]).unwrap();
    assert_ne!(mixed.expose_bytes(), key.expose_bytes());
}

/// With threshold 2 the share of x = 1 is key xor coefficient, so the top coefficient shows.
#[test]
fn the_top_coefficient_is_zero_as_often_as_any_byte() {
    let key = key([0; 32]);
    let zeros: usize = (0..4_000)
        .map(|_| {
            let shares = split(&key, 2, 2).unwrap();
            shares[0].to_bytes()[..32].iter().filter(|byte| **byte == 0).count()
        })
        .sum();
    // 128,000 bytes: mean 500, standard deviation 22.3; seven of them either way.
    assert!((344..=656).contains(&zeros), "{zeros}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_threshold_of_shares_gives_the_key(
        bytes: [u8; 32],
        (shares, threshold, chosen) in (1_u8..=20).prop_flat_map(|shares| {
            (Just(shares), 1..=shares).prop_flat_map(|(shares, threshold)| {
                let numbers: Vec<usize> = (0..usize::from(shares)).collect();
                let enough = usize::from(threshold)..=usize::from(shares);
                (Just(shares), Just(threshold), subsequence(numbers, enough).prop_shuffle())
            })
        }),
    ) {
        let all = split(&key(bytes), shares, threshold).unwrap();
        let chosen: Vec<Share> = chosen.iter().map(|at| again(&all[*at])).collect();
        let combined = combine(&chosen).unwrap();
        prop_assert_eq!(combined.expose_bytes(), &bytes);
    }

    #[test]
    fn too_few_shares_give_another_key(bytes: [u8; 32], threshold in 2_u8..=10) {
        let all = split(&key(bytes), threshold, threshold).unwrap();
        let combined = combine(&all[1..]).unwrap();
        prop_assert_ne!(combined.expose_bytes(), &bytes);
    }

    #[test]
    fn one_wrong_bit_gives_another_key(bytes: [u8; 32], bit in 0_usize..256) {
        let all = split(&key(bytes), 3, 3).unwrap();
        let mut wrong = *all[1].to_bytes();
        wrong[bit / 8] ^= 1 << (bit % 8);
        let wrong = [again(&all[0]), Share::from_bytes(&wrong).unwrap(), again(&all[2])];
        let combined = combine(&wrong).unwrap();
        prop_assert_ne!(combined.expose_bytes(), &bytes);
    }
}
