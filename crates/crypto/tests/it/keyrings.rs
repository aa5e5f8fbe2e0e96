//! States, rotation and storage of keyrings.

use goldfin_crypto::data_key::{MAX_USES, ROTATE_USES};
use goldfin_crypto::{CryptoError, DataKey, KekVersion, Key, KeyId, KeyState, Keyring, WrappedKey};

use crate::places::{Row, text};

const DEK: KeyId = KeyId { id: 77, version: 4 };

fn stored_by(ring: &Keyring) -> WrappedKey<Row> {
    ring.wrap(&Row::first(), &DataKey::generate(DEK).unwrap()).unwrap()
}

fn outcome(ring: &Keyring, wrapped: &WrappedKey<Row>) -> Result<KeyId, CryptoError> {
    ring.unwrap_key(&Row::first(), wrapped).map(|key| key.id())
}

#[test]
fn a_wrapped_key_comes_back_with_its_name() {
    let ring = Keyring::new(3).unwrap();
    let dek = DataKey::generate(DEK).unwrap();
    let value = dek.encrypt(&Row::first(), &text("synthetic")).unwrap();
    let wrapped = ring.wrap(&Row::first(), &dek).unwrap();
    assert_eq!((wrapped.key_id(), wrapped.key_version()), (3, 1));
    assert_eq!(wrapped.as_bytes().len(), 78);
    let back = ring.unwrap_key(&Row::first(), &wrapped).unwrap();
    assert_eq!(back.id(), DEK);
    assert_eq!(back.decrypt(&Row::first(), &value).unwrap().expose(), b"synthetic");

    let bare = Key::generate().unwrap();
    let wrapped = ring.wrap_bare(&Row::first(), &bare).unwrap();
    assert_eq!(wrapped.as_bytes().len(), 70);
    let back = ring.unwrap_bare(&Row::first(), &wrapped).unwrap();
    assert_eq!(back.expose_bytes(), bare.expose_bytes());
}

#[test]
fn rotation_wraps_anew_and_still_reads_the_old() {
    let mut ring = Keyring::new(3).unwrap();
    let old = stored_by(&ring);
    assert_eq!(ring.rotate(), Ok(2));
    assert_eq!(ring.primary(), 2);
    let new = stored_by(&ring);
    assert_eq!((old.key_version(), new.key_version()), (1, 2));
    assert_eq!(outcome(&ring, &old), Ok(DEK));
    assert_eq!(outcome(&ring, &new), Ok(DEK));
    let states: Vec<_> = ring.versions().iter().map(|v| (v.number(), v.state())).collect();
    assert_eq!(states, [(1, KeyState::Deactivated), (2, KeyState::Active)]);
}

#[test]
fn rewrapping_moves_both_kinds_under_the_primary() {
    let mut ring = Keyring::new(3).unwrap();
    let (named, bare_key) = (stored_by(&ring), Key::generate().unwrap());
    let bare = ring.wrap_bare(&Row::first(), &bare_key).unwrap();
    assert!(ring.rewrap(&Row::first(), &named).unwrap().is_none());
    ring.rotate().unwrap();
    let moved = ring.rewrap(&Row::first(), &named).unwrap().unwrap();
    let moved_bare = ring.rewrap(&Row::first(), &bare).unwrap().unwrap();
    let elsewhere = Row { number: 1, ..Row::first() };
    let refused = ring.rewrap(&elsewhere, &named).map(|_| ());
    assert_eq!(refused, Err(CryptoError::Integrity));

    ring.destroy(1).unwrap();
    assert_eq!((moved.key_version(), moved_bare.key_version()), (2, 2));
    assert_eq!(outcome(&ring, &moved), Ok(DEK));
    let back = ring.unwrap_bare(&Row::first(), &moved_bare).unwrap();
    assert_eq!(back.expose_bytes(), bare_key.expose_bytes());
    let refused = ring.rewrap(&Row::first(), &named).map(|_| ());
    assert_eq!(refused, Err(CryptoError::KeyDestroyed));
}

#[test]
fn every_state_meets_every_operation() {
    let mut ring = Keyring::new(3).unwrap();
    let first = stored_by(&ring);
    ring.rotate().unwrap();
    let primary = stored_by(&ring);

    assert_eq!(ring.deactivate(2), Err(CryptoError::PrimaryKey));
    assert_eq!(ring.destroy(2), Err(CryptoError::PrimaryKey));
    assert_eq!(ring.deactivate(9), Err(CryptoError::UnknownKeyVersion));
    assert_eq!(ring.destroy(9), Err(CryptoError::UnknownKeyVersion));
    assert_eq!(ring.key(9).map(|_| ()), Err(CryptoError::UnknownKeyVersion));

    assert_eq!(ring.deactivate(1), Ok(()));
    assert_eq!(outcome(&ring, &first), Ok(DEK));
    assert_eq!(ring.destroy(1), Ok(()));
    assert_eq!(ring.destroy(1), Ok(()));
    assert_eq!(ring.deactivate(1), Err(CryptoError::KeyDestroyed));
    assert_eq!(outcome(&ring, &first), Err(CryptoError::KeyDestroyed));
    assert_eq!(ring.add_uses(1, 1), Err(CryptoError::KeyDestroyed));
    let root = DataKey::generate(KeyId { id: 0, version: 1 }).unwrap();
    let export = ring.export_version(1, &root, &Row::first()).map(|_| ());
    assert_eq!(export, Err(CryptoError::KeyDestroyed));
    assert_eq!(outcome(&ring, &primary), Ok(DEK));
    assert_eq!(ring.rotate(), Ok(3));
}

#[test]
fn another_rings_key_is_not_tried() {
    let (one, other) = (Keyring::new(3).unwrap(), Keyring::new(4).unwrap());
    assert_eq!(outcome(&other, &stored_by(&one)), Err(CryptoError::Integrity));
    let mut newer = one.duplicate();
    newer.rotate().unwrap();
    assert_eq!(outcome(&one, &stored_by(&newer)), Err(CryptoError::UnknownKeyVersion));
}

#[test]
fn a_duplicate_changes_alone_and_counts_together() {
    let ring = Keyring::new(3).unwrap();
    let mut other = ring.duplicate();
    stored_by(&ring);
    stored_by(&other);
    assert_eq!(ring.versions()[0].uses(), 2);
    other.rotate().unwrap();
    assert_eq!((ring.primary(), other.primary()), (1, 2));
    assert_eq!(outcome(&other, &stored_by(&ring)), Ok(DEK));
}

#[test]
fn uses_of_all_nodes_add_up_to_a_rotation() {
    let mut ring = Keyring::new(3).unwrap();
    stored_by(&ring);
    assert_eq!(ring.add_uses(1, ROTATE_USES - 2), Ok(()));
    assert!(!ring.must_rotate());
    stored_by(&ring);
    assert!(ring.must_rotate());
    ring.add_uses(1, MAX_USES).unwrap();
    let refused = ring.wrap(&Row::first(), &DataKey::generate(DEK).unwrap()).map(|_| ());
    assert_eq!(refused, Err(CryptoError::KeyExhausted));
    ring.rotate().unwrap();
    assert!(!ring.must_rotate());
    stored_by(&ring);
}

#[test]
fn a_ring_survives_storage() {
    let root = DataKey::generate(KeyId { id: 0, version: 1 }).unwrap();
    let mut ring = Keyring::new(3).unwrap();
    let wrapped: Vec<_> = [(); 3]
        .iter()
        .map(|()| {
            let wrapped = stored_by(&ring);
            ring.rotate().unwrap();
            wrapped
        })
        .collect();
    ring.destroy(2).unwrap();
    let place = |number: u32| Row { number: number.into(), ..Row::first() };
    let read = |number: u32, state| {
        let stored = ring.export_version(number, &root, &place(number)).unwrap().into_bytes();
        let named = KeyId { id: 3, version: number };
        let stored = WrappedKey::from_stored(stored).unwrap();
        Keyring::import_version(named, state, 11, &root, &place(number), &stored).unwrap()
    };
    let versions =
        vec![read(4, KeyState::Active), read(1, KeyState::Deactivated), KekVersion::destroyed(2), read(3, KeyState::Deactivated)];
    let back = Keyring::from_versions(3, 4, versions).unwrap();
    assert_eq!((back.id(), back.primary(), back.versions()[0].uses()), (3, 4, 11));
    assert_eq!(outcome(&back, &wrapped[0]), Ok(DEK));
    assert_eq!(outcome(&back, &wrapped[1]), Err(CryptoError::KeyDestroyed));
    assert_eq!(outcome(&back, &wrapped[2]), Ok(DEK));
    assert_eq!(outcome(&ring, &stored_by(&back)), Ok(DEK));
}

#[test]
fn a_stored_version_passes_for_no_other() {
    let root = DataKey::generate(KeyId { id: 0, version: 1 }).unwrap();
    let ring = Keyring::new(3).unwrap();
    let stored = ring.export_version(1, &root, &Row::first()).unwrap();
    let import = |named, state, root: &DataKey, place: &Row| Keyring::import_version(named, state, 0, root, place, &stored).map(|_| ());
    let named = KeyId { id: 3, version: 1 };
    let here = Row::first();
    let moved = Row { number: 1, ..Row::first() };
    let other_root = DataKey::generate(root.id()).unwrap();
    assert_eq!(import(named, KeyState::Active, &root, &here), Ok(()));
    for wrong in [KeyId { id: 4, ..named }, KeyId { version: 2, ..named }] {
        assert_eq!(import(wrong, KeyState::Active, &root, &here), Err(CryptoError::Integrity));
    }
    assert_eq!(import(named, KeyState::Active, &root, &moved), Err(CryptoError::Integrity));
    assert_eq!(import(named, KeyState::Active, &other_root, &here), Err(CryptoError::Integrity));
    assert_eq!(import(named, KeyState::Destroyed, &root, &here), Err(CryptoError::KeyDestroyed));
}

#[test]
fn a_ring_needs_one_active_primary_and_distinct_versions() {
    let root = DataKey::generate(KeyId { id: 0, version: 1 }).unwrap();
    let ring = Keyring::new(3).unwrap();
    let stored = ring.export_version(1, &root, &Row::first()).unwrap();
    let version = |state| {
        let named = KeyId { id: 3, version: 1 };
        Keyring::import_version(named, state, 0, &root, &Row::first(), &stored).unwrap()
    };
    let build = |id, primary, versions| Keyring::from_versions(id, primary, versions).map(|_| ());
    let active = || version(KeyState::Active);
    assert_eq!(build(3, 1, vec![active()]), Ok(()));
    assert_eq!(build(3, 1, vec![]), Err(CryptoError::UnknownKeyVersion));
    assert_eq!(build(3, 2, vec![active()]), Err(CryptoError::UnknownKeyVersion));
    assert_eq!(build(3, 1, vec![version(KeyState::Deactivated)]), Err(CryptoError::PrimaryKey));
    assert_eq!(build(3, 1, vec![KekVersion::destroyed(1)]), Err(CryptoError::PrimaryKey));
    assert_eq!(build(3, 1, vec![active(), active()]), Err(CryptoError::Malformed));
    assert_eq!(build(4, 1, vec![active()]), Err(CryptoError::Malformed));
    assert_eq!(build(3, 1, vec![active(), KekVersion::destroyed(0)]), Err(CryptoError::Malformed));
}
