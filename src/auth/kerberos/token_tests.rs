use proptest::prelude::*;

use super::*;

#[test]
fn finds_the_same_authenticator_in_every_envelope() {
    let cipher = [0x5au8; 64];
    let ap_req = ap_req(&cipher, None);
    let raw = krb5(&ap_req);
    assert_eq!(authenticator(&raw), Ok(&cipher[..]));
    assert_eq!(authenticator(&spnego(OID_KRB5, &raw)), Ok(&cipher[..]));
    assert_eq!(authenticator(&spnego(OID_KRB5_MICROSOFT, &raw)), Ok(&cipher[..]));
    let with_kvno = krb5(&super::tests::ap_req(&cipher, Some(7)));
    assert_eq!(authenticator(&with_kvno), Ok(&cipher[..]));
}

#[test]
fn long_authenticators_are_found() {
    for length in [24, 127, 128, 255, 256, 40_000] {
        let cipher = vec![0x33; length];
        assert_eq!(authenticator(&spnego(OID_KRB5, &krb5(&ap_req(&cipher, None)))), Ok(&cipher[..]));
    }
}

#[test]
fn other_mechanisms_are_named() {
    let raw = krb5(&ap_req(&[1; 64], None));
    let ntlm = [0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0a];
    assert_eq!(authenticator(b"NTLMSSP\0\x01\0\0\0"), Err(KerberosRefusal::NotKerberos));
    assert_eq!(authenticator(&spnego(&ntlm, b"NTLMSSP\0\x01\0\0\0")), Err(KerberosRefusal::NotKerberos));
    assert_eq!(authenticator(&spnego(&ntlm, &raw)), Err(KerberosRefusal::NotKerberos));
    let iakerb = [0x2b, 0x06, 0x01, 0x05, 0x02, 0x05];
    let framed = element(GSS_FRAME, &[element(OID, &iakerb), ap_req(&[1; 64], None)].concat());
    assert_eq!(authenticator(&framed), Err(KerberosRefusal::NotKerberos));
    assert_eq!(authenticator(&spnego(OID_KRB5, &framed)), Err(KerberosRefusal::NotKerberos));
}

#[test]
fn a_missing_mechanism_token_would_need_a_second_round() {
    let mechanisms = element(CONTEXT_0, &element(SEQUENCE, &element(OID, OID_KRB5)));
    let init = element(CONTEXT_0, &element(SEQUENCE, &mechanisms));
    let token = element(GSS_FRAME, &[element(OID, OID_SPNEGO), init].concat());
    assert_eq!(authenticator(&token), Err(KerberosRefusal::ContinueNeeded));
}

#[test]
fn ambiguous_encodings_are_refused() {
    let good = krb5(&ap_req(&[9; 64], None));
    let body = &good[2..];
    assert!(good[1] >= 0x80 || good[1] as usize == body.len());

    let inner = [element(OID, OID_KRB5), [TOKEN_ID_AP_REQ, &ap_req_body(&[9; 64], None)].concat()].concat();
    let mut long_form = vec![GSS_FRAME, 0x83, 0, 0, inner.len() as u8];
    long_form.extend_from_slice(&inner);
    assert_eq!(authenticator(&long_form), Err(KerberosRefusal::Malformed), "padded length");

    let mut indefinite = vec![GSS_FRAME, 0x80];
    indefinite.extend_from_slice(&inner);
    indefinite.extend_from_slice(&[0, 0]);
    assert_eq!(authenticator(&indefinite), Err(KerberosRefusal::Malformed), "indefinite length");

    let trailing = [good.clone(), vec![0]].concat();
    assert_eq!(authenticator(&trailing), Err(KerberosRefusal::Malformed), "bytes after the frame");

    let doubled = element(AP_REQ, &element(SEQUENCE, &[ap_req_members(&[9; 64], None), authenticator_member(&[8; 64], None)].concat()));
    assert_eq!(authenticator(&krb5(&[TOKEN_ID_AP_REQ, &doubled].concat())), Err(KerberosRefusal::Malformed), "two authenticators");

    let short = krb5(&ap_req(&[9; 8], None));
    assert_eq!(authenticator(&short), Err(KerberosRefusal::Malformed), "too short to be one");
}

#[test]
fn error_replies_are_read_in_both_envelopes() {
    for (value, code) in [(vec![32], 32), (vec![37], 37), (vec![0, 200], 200)] {
        let error = element(
            KRB_ERROR,
            &element(SEQUENCE, &[element(CONTEXT_0, &element(INTEGER, &[5])), element(CONTEXT_6, &element(INTEGER, &value))].concat()),
        );
        let raw = element(GSS_FRAME, &[element(OID, OID_KRB5), TOKEN_ID_ERROR.to_vec(), error].concat());
        let reject = [element(CONTEXT_0, &[0x0a, 1, 2]), element(CONTEXT_2, &element(OCTET_STRING, &raw))].concat();
        assert_eq!(reply_error_code(&raw), Some(code));
        assert_eq!(reply_error_code(&element(SPNEGO_RESPONSE, &element(SEQUENCE, &reject))), Some(code));
    }
    assert_eq!(reply_error_code(b""), None);
    assert_eq!(reply_error_code(&krb5(&ap_req(&[1; 64], None))), None);
}

proptest! {
    #[test]
    fn junk_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(authenticator(&bytes).is_err());
        let _ = reply_error_code(&bytes);
    }

    #[test]
    fn cut_and_stretched_tokens_are_refused(cut in 0usize..200, extra in 1usize..20) {
        let token = spnego(OID_KRB5, &krb5(&ap_req(&[7; 80], Some(2))));
        prop_assert!(authenticator(&token[..cut.min(token.len() - 1)]).is_err());
        prop_assert!(authenticator(&[token, vec![0; extra]].concat()).is_err());
    }

    #[test]
    fn a_changed_byte_is_refused_or_still_one_authenticator(at in 0usize..200, value: u8) {
        let mut token = spnego(OID_KRB5, &krb5(&ap_req(&[7; 80], Some(2))));
        let at = at % token.len();
        token[at] = value;
        if let Ok(found) = authenticator(&token) {
            prop_assert_eq!(found.len(), 80);
        }
    }
}

fn element(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match body.len() {
        short @ 0..=0x7f => out.push(short as u8),
        medium @ 0x80..=0xff => out.extend_from_slice(&[0x81, medium as u8]),
        long => out.extend_from_slice(&[0x82, (long >> 8) as u8, long as u8]),
    }
    out.extend_from_slice(body);
    out
}

fn authenticator_member(cipher: &[u8], kvno: Option<u8>) -> Vec<u8> {
    let kvno = kvno.map_or(Vec::new(), |version| element(CONTEXT_1, &element(INTEGER, &[version])));
    let parts = [element(CONTEXT_0, &element(INTEGER, &[18])), kvno, element(CONTEXT_2, &element(OCTET_STRING, cipher))];
    element(CONTEXT_4, &element(SEQUENCE, &parts.concat()))
}

fn ap_req_members(cipher: &[u8], kvno: Option<u8>) -> Vec<u8> {
    [
        element(CONTEXT_0, &element(INTEGER, &[5])),
        element(CONTEXT_1, &element(INTEGER, &[14])),
        element(CONTEXT_2, &element(BIT_STRING, &[0, 0x20, 0, 0, 0])),
        element(CONTEXT_3, &element(TICKET, &element(SEQUENCE, &[]))),
        authenticator_member(cipher, kvno),
    ]
    .concat()
}

fn ap_req_body(cipher: &[u8], kvno: Option<u8>) -> Vec<u8> {
    element(AP_REQ, &element(SEQUENCE, &ap_req_members(cipher, kvno)))
}

fn ap_req(cipher: &[u8], kvno: Option<u8>) -> Vec<u8> {
    [TOKEN_ID_AP_REQ, &ap_req_body(cipher, kvno)].concat()
}

fn krb5(framed: &[u8]) -> Vec<u8> {
    element(GSS_FRAME, &[element(OID, OID_KRB5), framed.to_vec()].concat())
}

fn spnego(preferred: &[u8], token: &[u8]) -> Vec<u8> {
    let mechanisms = element(CONTEXT_0, &element(SEQUENCE, &[element(OID, preferred), element(OID, OID_KRB5)].concat()));
    let init = [mechanisms, element(CONTEXT_2, &element(OCTET_STRING, token))].concat();
    element(GSS_FRAME, &[element(OID, OID_SPNEGO), element(CONTEXT_0, &element(SEQUENCE, &init))].concat())
}
