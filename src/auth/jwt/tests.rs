use jsonwebtoken::{Algorithm, EncodingKey};
use proptest::prelude::*;
use rcgen::{KeyPair, PublicKeyData, RsaKeySize};
use serde_json::json;
use x509_parser::{prelude::FromDer, public_key::RSAPublicKey};

use super::*;

const NOW: i64 = 1_800_000_000;

/// A synthetic issuer: one key, which signs whatever a test asks for.
struct Issuer {
    algorithm: SigningAlgorithm,
    pair: KeyPair,
}

impl Issuer {
    fn new(algorithm: SigningAlgorithm) -> Self {
        let pair = match algorithm {
            SigningAlgorithm::Es256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            SigningAlgorithm::Es384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            SigningAlgorithm::EdDsa => KeyPair::generate_for(&rcgen::PKCS_ED25519),
            _ => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
        };
        Self { algorithm, pair: pair.unwrap() }
    }

    fn pem(&self) -> Vec<u8> {
        self.pair.public_key_pem().into_bytes()
    }

    fn keys(&self) -> KeySet {
        KeySet::from_pem(&self.pem(), &[]).unwrap()
    }

    fn jwk(&self, kid: &str) -> Value {
        let raw = self.pair.der_bytes();
        let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let half = (raw.len() - 1) / 2;
        match self.algorithm {
            SigningAlgorithm::EdDsa => json!({"kty":"OKP","crv":"Ed25519","x":b64(raw),"kid":kid,"alg":"EdDSA","use":"sig"}),
            SigningAlgorithm::Es256 => {
                json!({"kty":"EC","crv":"P-256","x":b64(&raw[1..=half]),"y":b64(&raw[half + 1..]),"kid":kid})
            }
            SigningAlgorithm::Es384 => {
                json!({"kty":"EC","crv":"P-384","x":b64(&raw[1..=half]),"y":b64(&raw[half + 1..]),"kid":kid,"alg":"ES384"})
            }
            _ => {
                let (_, key) = RSAPublicKey::from_der(raw).unwrap();
                json!({"kty":"RSA","n":b64(key.modulus),"e":b64(key.exponent),"kid":kid,"alg":self.algorithm.name()})
            }
        }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = unsigned(header, claims);
        let der = self.pair.serialize_der();
        let pem = self.pair.serialize_pem();
        let (key, algorithm) = match self.algorithm {
            SigningAlgorithm::Es256 => (EncodingKey::from_ec_der(&der), Algorithm::ES256),
            SigningAlgorithm::Es384 => (EncodingKey::from_ec_der(&der), Algorithm::ES384),
            SigningAlgorithm::EdDsa => (EncodingKey::from_ed_der(&der), Algorithm::EdDSA),
            SigningAlgorithm::Ps256 => (EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(), Algorithm::PS256),
            _ => (EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(), Algorithm::RS256),
        };
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, algorithm).unwrap();
        format!("{signed}.{signature}")
    }

    fn token(&self, claims: &Value) -> String {
        self.sign(&json!({"alg": self.algorithm.name(), "typ": "JWT"}), claims)
    }
}

fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn claims() -> Value {
    json!({"iss":"https://issuer.test","sub":"svc-a","aud":"goldfin","iat":NOW - 10,"exp":NOW + 600})
}

/// The usual claims with some replaced; null takes one away.
fn with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        }
    }
    claims
}

fn rules() -> JwtRules {
    JwtRules {
        issuer: Some("https://issuer.test".into()),
        audiences: vec!["goldfin".into(), "vault".into()],
        user_claim: "sub".into(),
        ..JwtRules::default()
    }
}

fn jwks(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}

#[test]
fn every_algorithm_verifies_from_pem_and_from_jwks() {
    for algorithm in
        [SigningAlgorithm::Es256, SigningAlgorithm::Es384, SigningAlgorithm::EdDsa, SigningAlgorithm::Rs256, SigningAlgorithm::Ps256]
    {
        let issuer = Issuer::new(algorithm);
        let token = issuer.token(&claims());
        let verified = issuer.keys().verify(&token, &rules(), NOW).unwrap();
        assert_eq!((verified.user.as_str(), verified.expires_unix), ("svc-a", NOW + 600), "{algorithm:?}");
        let set = KeySet::from_jwks(&jwks(&[issuer.jwk("k1")]), &[]).unwrap();
        assert_eq!(set.verify(&token, &rules(), NOW).unwrap(), verified);
        let named = issuer.sign(&json!({"alg": algorithm.name(), "kid": "k1"}), &claims());
        assert_eq!(set.verify(&named, &rules(), NOW).unwrap(), verified);
        assert_eq!(issuer.keys().verify(&named, &rules(), NOW).unwrap(), verified, "a file's key has no id");
        assert_eq!(Issuer::new(algorithm).keys().verify(&token, &rules(), NOW), Err(JwtRefusal::BadSignature));
    }
}

#[test]
fn confusions_of_algorithm_and_key_are_refused() {
    let rsa = Issuer::new(SigningAlgorithm::Rs256);
    let ec = Issuer::new(SigningAlgorithm::Es256);
    let set = KeySet::from_jwks(&jwks(&[rsa.jwk("rsa"), ec.jwk("ec")]), &[]).unwrap();
    let refused = |token: &str| set.verify(token, &rules(), NOW).unwrap_err();

    for kid in ["rsa", "ec", "other"] {
        for secret in [rsa.pem(), rsa.pair.der_bytes().to_vec(), ec.pem(), ec.pair.der_bytes().to_vec()] {
            let signed = unsigned(&json!({"alg":"HS256","kid":kid}), &claims());
            let mac = jsonwebtoken::crypto::sign(signed.as_bytes(), &EncodingKey::from_secret(&secret), Algorithm::HS256);
            assert_eq!(refused(&format!("{signed}.{}", mac.unwrap())), JwtRefusal::BadAlgorithm);
        }
    }
    for none in ["none", "None", "NONE", "nOnE", ""] {
        let signed = unsigned(&json!({"alg": none, "kid": "rsa"}), &claims());
        assert_eq!(refused(&format!("{signed}.")), JwtRefusal::BadSignature);
        assert_eq!(refused(&format!("{signed}.AAAA")), JwtRefusal::BadAlgorithm);
    }
    let honest = rsa.sign(&json!({"alg":"RS256","kid":"rsa"}), &claims());
    let (signed, signature) = honest.rsplit_once('.').unwrap();
    assert!(set.verify(&honest, &rules(), NOW).is_ok());
    assert_eq!(refused(&format!("{signed}.")), JwtRefusal::BadSignature);
    assert_eq!(refused(signed), JwtRefusal::Malformed);
    assert_eq!(refused(&format!("{honest}.")), JwtRefusal::Malformed);
    assert_eq!(refused(&format!("{honest}.{signature}")), JwtRefusal::Malformed);
    assert_eq!(refused(&format!(".{honest}")), JwtRefusal::Malformed);
    assert_eq!(refused(&format!("{honest}=")), JwtRefusal::BadSignature);
    assert_eq!(refused(&format!("{honest} ")), JwtRefusal::BadSignature);

    for (header, why) in [
        (json!({"alg":"ES256","kid":"rsa"}), JwtRefusal::BadAlgorithm),
        (json!({"alg":"PS256","kid":"rsa"}), JwtRefusal::BadAlgorithm),
        (json!({"alg":"RS512","kid":"rsa"}), JwtRefusal::BadAlgorithm),
        (json!({"alg":"RS256","kid":"ec"}), JwtRefusal::BadAlgorithm),
        (json!({"alg":"RS256","kid":"../rsa"}), JwtRefusal::UnknownKey),
        (json!({"alg":"RS256","kid":"RSA"}), JwtRefusal::UnknownKey),
        (json!({"alg":"RS256","kid":"rsa "}), JwtRefusal::UnknownKey),
        (json!({"alg":"RS256","kid":"x' OR '1'='1"}), JwtRefusal::UnknownKey),
        (json!({"alg":"RS256","kid":"/dev/null"}), JwtRefusal::UnknownKey),
        (json!({"alg":"RS256","kid":"rsa\u{0}"}), JwtRefusal::UnknownKey),
        (json!({"alg":"RS256","kid":""}), JwtRefusal::BadHeader),
        (json!({"alg":"RS256","kid":7}), JwtRefusal::BadHeader),
        (json!({"alg":"RS256","kid":"k".repeat(300)}), JwtRefusal::BadHeader),
        (json!({"alg":["RS256"],"kid":"rsa"}), JwtRefusal::BadAlgorithm),
        (json!({"alg":"rs256","kid":"rsa"}), JwtRefusal::BadAlgorithm),
        (json!({"kid":"rsa"}), JwtRefusal::BadAlgorithm),
    ] {
        assert_eq!(refused(&rsa.sign(&header, &claims())), why, "{header}");
    }
}

#[test]
fn headers_that_bring_their_own_key_or_format_are_refused() {
    let rsa = Issuer::new(SigningAlgorithm::Rs256);
    for (name, value) in [
        ("jku", json!("https://issuer.test/keys")),
        ("x5u", json!("https://issuer.test/cert")),
        ("jwk", rsa.jwk("own")),
        ("jwk", Value::Null),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("cty", json!("JWT")),
        ("typ", json!("logout+jwt")),
        ("typ", json!("dpop+jwt")),
        ("typ", json!(1)),
    ] {
        let mut header = json!({"alg":"RS256"});
        header[name] = value;
        assert_eq!(rsa.keys().verify(&rsa.sign(&header, &claims()), &rules(), NOW), Err(JwtRefusal::BadHeader), "{header}");
    }
    for kind in ["JWT", "jwt", "at+jwt", "application/at+jwt"] {
        let token = rsa.sign(&json!({"alg":"RS256","typ":kind,"x5t":"synthetic"}), &claims());
        assert!(rsa.keys().verify(&token, &rules(), NOW).is_ok(), "{kind}");
    }
    let logout = rsa.token(&with(json!({"events":{"http://schemas.openid.net/event/backchannel-logout":{}}})));
    assert_eq!(rsa.keys().verify(&logout, &rules(), NOW), Err(JwtRefusal::BadHeader));
}

#[test]
fn duplicate_members_and_odd_texts_are_refused() {
    let issuer = Issuer::new(SigningAlgorithm::EdDsa);
    let raw = |header: &str, claims: &str| {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let key = EncodingKey::from_ed_der(&issuer.pair.serialize_der());
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::EdDSA).unwrap();
        issuer.keys().verify(&format!("{signed}.{signature}"), &rules(), NOW).map(|verified| verified.user)
    };
    let header = r#"{"alg":"EdDSA"}"#;
    let good = claims().to_string();
    assert_eq!(raw(header, &good).as_deref(), Ok("svc-a"));
    let twice = good.replacen('{', r#"{"sub":"root","#, 1);
    for (header, claims) in [
        (r#"{"alg":"EdDSA","alg":"EdDSA"}"#, good.as_str()),
        (header, &twice),
        (header, "[]"),
        (header, "null"),
        (header, "{"),
        (header, &format!("{good}{good}")),
        ("[]", &good),
    ] {
        assert_eq!(raw(header, claims), Err(JwtRefusal::Malformed), "{header} {claims}");
    }
    let long = with(json!({"filler": "x".repeat(17_000)}));
    assert_eq!(issuer.keys().verify(&issuer.token(&long), &rules(), NOW), Err(JwtRefusal::TooLong));
}

#[test]
fn key_documents_are_read_strictly() {
    let rsa = Issuer::new(SigningAlgorithm::Rs256);
    let ec = Issuer::new(SigningAlgorithm::Es256);
    let count = |keys: &[Value]| KeySet::from_jwks(&jwks(keys), &[]).map(|set| set.len());
    assert_eq!(count(&[rsa.jwk("a"), ec.jwk("b")]), Ok(2));
    assert_eq!(count(&[rsa.jwk("a"), ec.jwk("a")]), Err(KeySetError::DuplicateKeyId));
    assert_eq!(count(&[]), Err(KeySetError::Empty));
    assert_eq!(count(&[json!(1)]), Err(KeySetError::NotJwks));

    let changed = |name: &str, value: Value| {
        let mut key = rsa.jwk("a");
        key[name] = value;
        count(&[key, ec.jwk("b")])
    };
    for (name, value) in [
        ("kty", json!("oct")),
        ("kty", json!("new")),
        ("kty", json!("EC")),
        ("use", json!("enc")),
        ("use", json!(1)),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!("verify")),
        ("alg", json!("HS256")),
        ("alg", json!("none")),
        ("alg", json!("ES256")),
        ("alg", json!("RSA-OAEP")),
        ("alg", Value::Null),
        ("kid", json!(1)),
        ("n", json!("AQAB")),
        ("n", json!("not base64!")),
        ("e", json!("AQ")),
        ("e", json!("Ag")),
        ("e", json!("")),
    ] {
        assert_eq!(changed(name, value.clone()), Ok(1), "{name} {value}");
    }
    assert_eq!(changed("use", json!("sig")), Ok(2));
    assert_eq!(changed("key_ops", json!(["verify"])), Ok(2));
    assert_eq!(KeySet::from_jwks(br#"{"keys":[],"keys":[]}"#, &[]).unwrap_err(), KeySetError::NotJwks);
    assert_eq!(KeySet::from_jwks(&vec![b' '; 1024 * 1024 + 1], &[]).unwrap_err(), KeySetError::TooLarge);
    let many: Vec<_> = (0..101).map(|id| ec.jwk(&id.to_string())).collect();
    assert_eq!(count(&many), Err(KeySetError::TooLarge));

    let secret = json!({"kty":"oct","k":"c3ludGhldGlj","kid":"s","alg":"HS256"});
    assert_eq!(count(&[secret]), Err(KeySetError::Empty));
    assert_eq!(KeySet::from_jwks(&jwks(&[rsa.jwk("a")]), &[SigningAlgorithm::Es256]).unwrap_err(), KeySetError::Empty);
}

#[test]
fn pem_keys_are_public_and_strong() {
    let ec = Issuer::new(SigningAlgorithm::Es256);
    let private = ec.pair.serialize_pem();
    assert_eq!(KeySet::from_pem(private.as_bytes(), &[]).unwrap_err(), KeySetError::PrivateKey);
    assert_eq!(KeySet::from_pem(b"synthetic", &[]).unwrap_err(), KeySetError::NotPem);
    assert_eq!(KeySet::from_pem(&ec.pem(), &[SigningAlgorithm::Rs256]).unwrap_err(), KeySetError::UnsupportedKey);
    let p521 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
    assert_eq!(KeySet::from_pem(p521.public_key_pem().as_bytes(), &[]).unwrap_err(), KeySetError::UnsupportedKey);
    assert_eq!(KeySet::from_pem(SMALL_RSA.as_bytes(), &[]).unwrap_err(), KeySetError::UnsupportedKey);

    let certificate = rcgen::CertificateParams::new(vec!["issuer.test".into()]).unwrap().self_signed(&ec.pair).unwrap();
    let set = KeySet::from_pem(certificate.pem().as_bytes(), &[]).unwrap();
    assert!(set.verify(&ec.token(&claims()), &rules(), NOW).is_ok());
    let both = [ec.pem(), Issuer::new(SigningAlgorithm::EdDsa).pem()].concat();
    let set = KeySet::from_pem(&both, &[]).unwrap();
    assert_eq!(set.len(), 2);
    assert!(set.verify(&ec.token(&claims()), &rules(), NOW).is_ok());
}

#[test]
fn without_a_key_id_only_a_handful_is_tried() {
    let issuers: Vec<_> = (0..9).map(|_| Issuer::new(SigningAlgorithm::EdDsa)).collect();
    let set = |count: usize| {
        let keys: Vec<_> = issuers.iter().take(count).enumerate().map(|(at, issuer)| issuer.jwk(&at.to_string())).collect();
        KeySet::from_jwks(&jwks(&keys), &[]).unwrap()
    };
    let token = issuers[7].token(&claims());
    assert!(set(8).verify(&token, &rules(), NOW).is_ok());
    assert_eq!(set(9).verify(&token, &rules(), NOW), Err(JwtRefusal::AmbiguousKey));
    let other = Issuer::new(SigningAlgorithm::Es256).token(&claims());
    assert_eq!(set(8).verify(&other, &rules(), NOW), Err(JwtRefusal::UnknownKey));
    let joined = KeySet::join([set(1), issuers[1].keys()]).unwrap();
    assert!(joined.verify(&issuers[1].token(&claims()), &rules(), NOW).is_ok());
    assert_eq!(KeySet::join([set(1), set(1)]).unwrap_err(), KeySetError::DuplicateKeyId);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_changed_character_is_refused(at: prop::sample::Index, replacement in "[A-Za-z0-9_.=+/ -]") {
        thread_local!(static TOKEN: (KeySet, String) = {
            let issuer = Issuer::new(SigningAlgorithm::EdDsa);
            (issuer.keys(), issuer.token(&claims()))
        });
        TOKEN.with(|(keys, token)| {
            let at = at.index(token.len());
            let mut changed = token.clone();
            changed.replace_range(at..=at, &replacement);
            prop_assert_eq!(keys.verify(&changed, &rules(), NOW).is_ok(), changed == *token);
            Ok(())
        })?;
    }

    #[test]
    fn junk_never_panics(text in "\\PC{0,200}", header in any::<Vec<u8>>(), body in any::<Vec<u8>>()) {
        let keys = KeySet::from_pem(ED25519.as_bytes(), &[]).unwrap();
        prop_assert!(keys.verify(&text, &rules(), NOW).is_err());
        let framed = format!("{}.{}.AAAA", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(&body));
        prop_assert!(keys.verify(&framed, &rules(), NOW).is_err());
        prop_assert!(KeySet::from_jwks(&body, &[]).is_err());
        prop_assert!(KeySet::from_pem(&body, &[]).is_err());
    }
}

/// The public key of RFC 8410, 10.1.
const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";

/// A synthetic RSA key of 1024 bits.
const SMALL_RSA: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDFn/jIEntFFVqA9TEl2cLGbo6e
AwofzZZo17f1ZzUBrljHrlpWMtG+I+8eUOpxiPxzdjadFnVexH+MiMGO1HfCeWH7
uGc6KqwzPH7EaMMJ5ejFcXhpdankGCV2EcEPfdSdJwwatoZ71SdJz58hxfoobQkk
bSiL2cWDjmr0vNOyXQIDAQAB
-----END PUBLIC KEY-----
";
