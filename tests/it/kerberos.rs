//! Logins with real tickets: what is accepted, what is refused and under which name.

use std::{fs, path::Path, process::Command, thread, time::Duration};

use goldfin::auth::kerberos::{Accepted, Acceptor, KerberosError, KerberosRefusal};

use crate::kdc::{Framing, Kdc, REALM, hex, test_name, unhex};

const SERVICE: &str = "HTTP/localhost";
const BINDING: &[u8] = b"tls-server-end-point:synthetic certificate hash";

fn full(name: &str) -> String {
    format!("{name}@{REALM}")
}

/// A realm with the service, its acceptor, and a client with a ticket.
struct Realm {
    kdc: Kdc,
    acceptor: Acceptor,
    cache: std::path::PathBuf,
}

impl Realm {
    fn new() -> Self {
        let kdc = Kdc::start();
        let acceptor = Acceptor::new(&kdc.service_keytab(SERVICE), &full(SERVICE)).unwrap();
        let alice = kdc.principal_with_keytab("alice");
        let cache = kdc.ticket(&alice, "alice");
        Self { kdc, acceptor, cache }
    }

    fn token(&self, framing: Framing) -> Vec<u8> {
        self.kdc.token(&self.cache, SERVICE, framing, None)
    }

    fn accept(&self, framing: Framing) -> Result<Accepted, KerberosRefusal> {
        self.acceptor.accept(&self.token(framing), None)
    }
}

#[test]
fn real_tickets_are_accepted_in_every_framing() {
    let realm = Realm::new();
    for framing in [Framing::Spnego, Framing::SpnegoOneWay, Framing::Krb5, Framing::Krb5OneWay] {
        let accepted = realm.accept(framing).unwrap_or_else(|refusal| panic!("{framing:?}: {refusal}"));
        assert_eq!(accepted.principal.to_string(), full("alice"));
        assert!(!accepted.channel_bound);
        assert!(accepted.ticket_remaining > Duration::from_secs(3000));
    }
}

#[test]
fn the_client_is_convinced_by_the_reply() {
    let realm = Realm::new();
    for framing in [Framing::Spnego, Framing::Krb5] {
        let convinced =
            realm.kdc.handshake(&realm.cache, SERVICE, framing, None, |token| realm.acceptor.accept(token, None).unwrap().reply_token);
        assert!(convinced, "{framing:?}");
        assert!(!realm.kdc.handshake(&realm.cache, SERVICE, framing, None, |_| None), "{framing:?}");
    }
}

#[test]
fn instances_and_services_keep_their_whole_name() {
    let realm = Realm::new();
    for name in ["alice/admin", "nfs/alice"] {
        let keytab = realm.kdc.principal_with_keytab(name);
        let cache = realm.kdc.ticket(&keytab, name);
        let accepted = realm.acceptor.accept(&realm.kdc.token(&cache, SERVICE, Framing::Spnego, None), None).unwrap();
        assert_eq!(accepted.principal.to_string(), full(name));
        assert_eq!(accepted.principal.instances().len(), 1);
    }
}

#[test]
fn a_replayed_authenticator_has_the_same_digest_in_every_envelope() {
    let realm = Realm::new();
    let spnego = realm.token(Framing::Spnego);
    let raw = unwrapped(&spnego);
    let rewrapped = wrapped(&raw);
    assert_ne!(spnego, rewrapped);
    let digests: Vec<_> =
        [&spnego, &spnego, &raw, &rewrapped].into_iter().map(|token| realm.acceptor.accept(token, None).unwrap().replay_digest).collect();
    assert!(digests.iter().all(|digest| *digest == digests[0]));
    let other = realm.accept(Framing::Spnego).unwrap().replay_digest;
    assert_ne!(other, digests[0]);
}

#[test]
fn only_the_pinned_principal_and_key_are_accepted() {
    let realm = Realm::new();
    let keytab = realm.kdc.service_keytab("HTTP/other");
    let for_other = realm.kdc.token(&realm.cache, "HTTP/other", Framing::Spnego, None);
    assert_eq!(realm.acceptor.accept(&for_other, None).unwrap_err(), KerberosRefusal::WrongKey);

    // Both services in one keytab: still only the pinned one.
    let both = Acceptor::new(&keytab, &full("HTTP/other")).unwrap();
    assert!(both.accept(&for_other, None).is_ok());
    assert_eq!(both.accept(&realm.token(Framing::Spnego), None).unwrap_err(), KerberosRefusal::WrongKey);

    // A keytab of the same name and key version from another realm's database.
    let foreign = Kdc::start();
    let impostor = Acceptor::new(&foreign.service_keytab(SERVICE), &full(SERVICE)).unwrap();
    for framing in [Framing::Spnego, Framing::Krb5] {
        assert_eq!(impostor.accept(&realm.token(framing), None).unwrap_err(), KerberosRefusal::WrongKey);
    }
}

#[test]
fn a_rotated_key_is_found_without_a_restart() {
    let realm = Realm::new();
    let before = realm.token(Framing::Spnego);
    let shared = realm.kdc.directory().join("HTTP_localhost.keytab");
    let kept = fs::read(&shared).unwrap();
    realm.kdc.service_keytab(SERVICE);
    let rotated = fs::read(&shared).unwrap();
    let alice = realm.kdc.directory().join("alice.keytab");
    let cache = realm.kdc.ticket(&alice, "alice");
    let after = realm.kdc.token(&cache, SERVICE, Framing::Spnego, None);

    fs::write(&shared, kept).unwrap();
    assert_eq!(realm.acceptor.accept(&after, None).unwrap_err(), KerberosRefusal::WrongKey);
    fs::write(&shared, rotated).unwrap();
    assert!(realm.acceptor.accept(&after, None).is_ok());
    assert!(realm.acceptor.accept(&before, None).is_ok(), "tickets of the old key still work while it is in the keytab");
}

#[test]
fn channel_bindings_are_checked_and_reported() {
    let realm = Realm::new();
    for framing in [Framing::Spnego, Framing::Krb5] {
        let bound = realm.kdc.token(&realm.cache, SERVICE, framing, Some(BINDING));
        assert!(realm.acceptor.accept(&bound, Some(BINDING)).unwrap().channel_bound);
        let wrong = realm.acceptor.accept(&bound, Some(b"tls-server-end-point:another certificate"));
        assert_eq!(wrong.unwrap_err(), KerberosRefusal::ChannelBindingMismatch);
        assert!(!realm.acceptor.accept(&bound, None).unwrap().channel_bound);
        let unbound = realm.token(framing);
        assert!(!realm.acceptor.accept(&unbound, Some(BINDING)).unwrap().channel_bound);
    }
}

#[test]
fn junk_ntlm_and_cut_tokens_are_refused_by_name() {
    let realm = Realm::new();
    let ntlm = b"NTLMSSP\0\x01\0\0\0\x07\x82\x08\xa2\0\0\0\0\0\0\0\0";
    assert_eq!(realm.acceptor.accept(ntlm, None).unwrap_err(), KerberosRefusal::NotKerberos);
    for junk in [&b""[..], b"\0", b"junk", b"\x60\x80", &[0x60; 70_000]] {
        assert_eq!(realm.acceptor.accept(junk, None).unwrap_err(), KerberosRefusal::Malformed);
    }
    let token = realm.token(Framing::Spnego);
    for keep in (0..token.len()).step_by(7) {
        assert_eq!(realm.acceptor.accept(&token[..keep], None).unwrap_err(), KerberosRefusal::Malformed);
    }
}

/// Kerberos leaves some bytes unprotected (the server's name in clear beside the ticket, spare option bits): a
/// token changed there still opens, but principal and replay digest stay, so it is a replay of the honest one.
#[test]
fn two_thousand_mutated_tokens_gain_nothing() {
    let realm = Realm::new();
    let token = realm.token(Framing::Spnego);
    let honest = realm.acceptor.accept(&token, None).unwrap();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut refused = 0;
    for _ in 0..2000 {
        let mut mutated = token.clone();
        for _ in 0..=(next() % 3) {
            let at = next() as usize % mutated.len();
            mutated[at] ^= (next() as u8).max(1);
        }
        match realm.acceptor.accept(&mutated, None) {
            Err(_) => refused += 1,
            Ok(accepted) => {
                assert_eq!(accepted.principal, honest.principal);
                assert_eq!(accepted.replay_digest, honest.replay_digest, "a fresh digest would be a replay");
            }
        }
    }
    assert!(refused > 1900, "only {refused} were refused");
    assert!(realm.acceptor.accept(&token, None).is_ok());
}

#[test]
fn old_tickets_and_old_authenticators_are_told_apart() {
    let realm = Realm::new();
    let alice = realm.kdc.directory().join("alice.keytab");
    let short = realm.kdc.ticket_for(&alice, "alice", "2s");
    for (framing, expired) in [(Framing::Spnego, true), (Framing::Krb5, true), (Framing::Spnego, false), (Framing::Krb5, false)] {
        let cache = if expired { &short } else { &realm.cache };
        let token = realm.kdc.token(cache, SERVICE, framing, None);
        let path = realm.kdc.directory().join(format!("{framing:?}-{expired}.token"));
        fs::write(path, hex(&token)).unwrap();
    }
    thread::sleep(Duration::from_secs(5));
    let strict = strict_configuration(&realm);
    for (file, refusal) in [
        ("Spnego-true", KerberosRefusal::Expired),
        ("Krb5-true", KerberosRefusal::Expired),
        ("Spnego-false", KerberosRefusal::ClockSkew),
        ("Krb5-false", KerberosRefusal::ClockSkew),
    ] {
        let path = realm.kdc.directory().join(format!("{file}.token"));
        assert_eq!(accepted_elsewhere(&realm, &strict, &path), format!("Err({refusal:?})"), "{file}");
    }
}

#[test]
fn a_missing_keytab_or_principal_says_what_to_do() {
    let kdc = Kdc::start();
    let keytab = kdc.service_keytab(SERVICE);
    let missing = Acceptor::new(&kdc.directory().join("absent.keytab"), &full(SERVICE)).unwrap_err();
    assert!(matches!(missing, KerberosError::KeytabUnreadable(..)) && missing.to_string().contains("ktadd"));
    let folder = Acceptor::new(kdc.directory(), &full(SERVICE)).unwrap_err();
    assert!(matches!(folder, KerberosError::KeytabUnreadable(..)));
    let other = Acceptor::new(&keytab, &full("HTTP/elsewhere")).unwrap_err();
    assert!(matches!(other, KerberosError::PrincipalNotInKeytab(_)) && other.to_string().contains("klist -k"), "{other:?}");
    assert!(matches!(Acceptor::new(&keytab, SERVICE), Err(KerberosError::BadPrincipal(_))));
    let text = kdc.directory().join("text.keytab");
    fs::write(&text, "this is not a keytab").unwrap();
    assert!(Acceptor::new(&text, &full(SERVICE)).is_err());
}

#[test]
fn threads_share_one_acceptor() {
    let realm = Realm::new();
    let token = realm.token(Framing::Spnego);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert!(realm.acceptor.accept(&token, None).is_ok());
                    assert!(realm.acceptor.accept(&token[1..], None).is_err());
                }
            });
        }
    });
}

/// Does nothing in an ordinary run; in a child it is a server with another configuration of the library.
#[test]
fn accept_in_child() {
    let Ok(keytab) = std::env::var(CHILD_KEYTAB) else { return };
    let token = unhex(&fs::read_to_string(std::env::var(CHILD_TOKEN).unwrap()).unwrap());
    let outcome = Acceptor::new(Path::new(&keytab), &full(SERVICE)).unwrap().accept(&token, None);
    println!("server says {:?}", outcome.map(|accepted| accepted.principal));
}

fn accepted_elsewhere(realm: &Realm, configuration: &Path, token: &Path) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &test_name(module_path!(), "accept_in_child"), "--nocapture", "--test-threads=1"])
        .env("KRB5_CONFIG", configuration)
        .env(CHILD_KEYTAB, realm.kdc.directory().join("HTTP_localhost.keytab"))
        .env(CHILD_TOKEN, token)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.split_once("server says ")).expect("the child said nothing").1.to_owned()
}

fn strict_configuration(realm: &Realm) -> std::path::PathBuf {
    let path = realm.kdc.directory().join("strict.conf");
    let usual = fs::read_to_string(realm.kdc.directory().join("krb5.conf")).unwrap();
    fs::write(&path, usual.replace("[libdefaults]", "[libdefaults]\n    clockskew = 1")).unwrap();
    path
}

/// The krb5 token inside a SPNEGO token: what starts with the krb5 mechanism's frame.
fn unwrapped(spnego: &[u8]) -> Vec<u8> {
    let oid = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02, 0x01, 0x00];
    let at = spnego.windows(oid.len()).position(|window| window == oid).unwrap();
    assert_eq!(spnego[at - 4..at - 2], [0x60, 0x82]);
    spnego[at - 4..].to_vec()
}

/// The same krb5 token in an envelope of our own, which lists a second mechanism.
fn wrapped(raw: &[u8]) -> Vec<u8> {
    let krb5 = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02];
    let ntlm = [0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0a];
    let mechanisms = element(0xa0, &element(0x30, &[&krb5[..], &ntlm].concat()));
    let init = element(0x30, &[mechanisms, element(0xa2, &element(0x04, raw))].concat());
    let spnego = [0x06, 0x06, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x02];
    element(0x60, &[&spnego[..], &element(0xa0, &init)].concat())
}

fn element(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = match length {
        0..=0x7f => vec![tag, length as u8],
        0x80..=0xff => vec![tag, 0x81, length as u8],
        _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
    };
    [head, body.to_vec()].concat()
}

const CHILD_KEYTAB: &str = "GOLDFIN_TEST_ACCEPT_KEYTAB";
const CHILD_TOKEN: &str = "GOLDFIN_TEST_ACCEPT_TOKEN";
