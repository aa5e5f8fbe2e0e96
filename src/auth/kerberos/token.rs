//! Finds the authenticator inside a Kerberos login token: SPNEGO (RFC 4178) or bare krb5 (RFC 4121)
//! framing, then the AP-REQ (RFC 4120, 5.5.1).
//!
//! The replay table is keyed by the authenticator's ciphertext, so this reader and the Kerberos library must
//! agree on which bytes those are. It therefore takes strict DER only: every member in its order, once, with
//! the shortest length form, and nothing left over at any level. What it cannot place it refuses.
//! It decrypts nothing and decides nothing about the caller.

use super::KerberosRefusal;

/// The ciphertext of the AP-REQ's authenticator, wherever the envelope put it.
pub(super) fn authenticator(token: &[u8]) -> Result<&[u8], KerberosRefusal> {
    if token.starts_with(NTLM_SIGNATURE) {
        return Err(KerberosRefusal::NotKerberos);
    }
    let (mechanism, inner) = gss_frame(token)?;
    if mechanism == OID_SPNEGO {
        let (mechanism, ap_req) = gss_frame(spnego_mech_token(inner)?)?;
        return if mechanism == OID_KRB5 { ap_req_authenticator(ap_req) } else { Err(KerberosRefusal::NotKerberos) };
    }
    if mechanism == OID_KRB5 { ap_req_authenticator(inner) } else { Err(KerberosRefusal::NotKerberos) }
}

/// The error code of the KRB-ERROR (RFC 4120, 5.9.1) in the acceptor's own answer to a refused token.
pub(super) fn reply_error_code(reply: &[u8]) -> Option<u32> {
    let framed = match gss_frame(reply) {
        Ok((OID_KRB5, inner)) => inner,
        _ => {
            let mut answer = Der::whole(reply, SPNEGO_RESPONSE).ok()?.sequence().ok()?;
            while let Some((tag, body)) = answer.next().ok()? {
                if tag == CONTEXT_2 {
                    let token = Der::new(body).only(OCTET_STRING).ok()?;
                    return error_code(gss_frame(token).ok()?.1);
                }
            }
            return None;
        }
    };
    error_code(framed)
}

fn error_code(framed: &[u8]) -> Option<u32> {
    let mut error = Der::whole(framed.strip_prefix(TOKEN_ID_ERROR)?, KRB_ERROR).ok()?.sequence().ok()?;
    while let Some((tag, body)) = error.next().ok()? {
        if tag == CONTEXT_6 {
            let value = Der::new(body).only(INTEGER).ok()?;
            return match value {
                [code] => Some(u32::from(*code)),
                [0, code] => Some(u32::from(*code)),
                _ => None,
            };
        }
    }
    None
}

/// `[APPLICATION 0] { mechanism OID, inner token }` (RFC 2743, 3.1).
fn gss_frame(token: &[u8]) -> Result<(&[u8], &[u8]), KerberosRefusal> {
    let mut frame = Der::whole(token, GSS_FRAME)?;
    let mechanism = frame.expect(OID)?;
    Ok((mechanism, frame.rest))
}

fn spnego_mech_token(inner: &[u8]) -> Result<&[u8], KerberosRefusal> {
    let mut init = Der::whole(inner, CONTEXT_0)?.sequence()?;
    let mut mechanisms = Der::new(init.expect(CONTEXT_0)?).sequence()?;
    // Only the first mechanism's token rides along; any other choice needs a second round, which is refused.
    let preferred = mechanisms.expect(OID)?;
    while !mechanisms.rest.is_empty() {
        mechanisms.expect(OID)?;
    }
    if preferred != OID_KRB5 && preferred != OID_KRB5_MICROSOFT {
        return Err(KerberosRefusal::NotKerberos);
    }
    init.optional(CONTEXT_1)?;
    let token = match init.optional(CONTEXT_2)? {
        Some(body) => Der::new(body).only(OCTET_STRING)?,
        None => return Err(KerberosRefusal::ContinueNeeded),
    };
    init.optional(CONTEXT_3)?;
    init.end()?;
    Ok(token)
}

fn ap_req_authenticator(framed: &[u8]) -> Result<&[u8], KerberosRefusal> {
    let ap_req = framed.strip_prefix(TOKEN_ID_AP_REQ).ok_or(KerberosRefusal::Malformed)?;
    let mut request = Der::whole(ap_req, AP_REQ)?.sequence()?;
    if Der::new(request.expect(CONTEXT_0)?).only(INTEGER)? != [5] {
        return Err(KerberosRefusal::Malformed);
    }
    if Der::new(request.expect(CONTEXT_1)?).only(INTEGER)? != [14] {
        return Err(KerberosRefusal::Malformed);
    }
    Der::new(request.expect(CONTEXT_2)?).only(BIT_STRING)?;
    Der::new(request.expect(CONTEXT_3)?).only(TICKET)?;
    let mut encrypted = Der::new(request.expect(CONTEXT_4)?).sequence()?;
    request.end()?;
    Der::new(encrypted.expect(CONTEXT_0)?).only(INTEGER)?;
    encrypted.optional(CONTEXT_1)?;
    let cipher = Der::new(encrypted.expect(CONTEXT_2)?).only(OCTET_STRING)?;
    encrypted.end()?;
    if cipher.len() < SHORTEST_CIPHER {
        return Err(KerberosRefusal::Malformed);
    }
    Ok(cipher)
}

/// A forward-only reader of DER elements with one-byte tags.
struct Der<'a> {
    rest: &'a [u8],
}

impl<'a> Der<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// A reader of the contents of the one element that `bytes` must consist of.
    fn whole(bytes: &'a [u8], tag: u8) -> Result<Self, KerberosRefusal> {
        Der::new(bytes).only(tag).map(Der::new)
    }

    /// The one element that is left must be a SEQUENCE; a reader of its contents.
    fn sequence(self) -> Result<Self, KerberosRefusal> {
        self.only(SEQUENCE).map(Der::new)
    }

    fn only(mut self, tag: u8) -> Result<&'a [u8], KerberosRefusal> {
        let body = self.expect(tag)?;
        self.end()?;
        Ok(body)
    }

    fn expect(&mut self, tag: u8) -> Result<&'a [u8], KerberosRefusal> {
        self.optional(tag)?.ok_or(KerberosRefusal::Malformed)
    }

    fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, KerberosRefusal> {
        if self.rest.first() != Some(&tag) {
            return Ok(None);
        }
        Ok(self.next()?.map(|(_, body)| body))
    }

    fn end(&self) -> Result<(), KerberosRefusal> {
        if self.rest.is_empty() { Ok(()) } else { Err(KerberosRefusal::Malformed) }
    }

    fn next(&mut self) -> Result<Option<(u8, &'a [u8])>, KerberosRefusal> {
        let Some((&tag, after_tag)) = self.rest.split_first() else { return Ok(None) };
        let (length, contents) = length(after_tag).ok_or(KerberosRefusal::Malformed)?;
        let (body, rest) = contents.split_at_checked(length).ok_or(KerberosRefusal::Malformed)?;
        self.rest = rest;
        Ok(Some((tag, body)))
    }
}

/// A definite length in its shortest form; login tokens never need more than three length bytes.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        return Some((usize::from(first), rest));
    }
    let count = usize::from(first & 0x7f);
    if count == 0 || count > 3 {
        return None;
    }
    let (digits, rest) = rest.split_at_checked(count)?;
    let value = digits.iter().fold(0usize, |sum, digit| (sum << 8) | usize::from(*digit));
    let shortest = digits.first() != Some(&0) && value >= 0x80;
    shortest.then_some((value, rest))
}

const GSS_FRAME: u8 = 0x60;
const SPNEGO_RESPONSE: u8 = 0xa1;
const AP_REQ: u8 = 0x6e;
const KRB_ERROR: u8 = 0x7e;
const TICKET: u8 = 0x61;
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const CONTEXT_0: u8 = 0xa0;
const CONTEXT_1: u8 = 0xa1;
const CONTEXT_2: u8 = 0xa2;
const CONTEXT_3: u8 = 0xa3;
const CONTEXT_4: u8 = 0xa4;
const CONTEXT_6: u8 = 0xa6;

/// 1.3.6.1.5.5.2
const OID_SPNEGO: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x02];
/// 1.2.840.113554.1.2.2
const OID_KRB5: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02];
/// 1.2.840.48018.1.2.2, which Windows lists first while it sends a token of the mechanism above.
const OID_KRB5_MICROSOFT: &[u8] = &[0x2a, 0x86, 0x48, 0x82, 0xf7, 0x12, 0x01, 0x02, 0x02];

const TOKEN_ID_AP_REQ: &[u8] = &[0x01, 0x00];
const TOKEN_ID_ERROR: &[u8] = &[0x03, 0x00];
const NTLM_SIGNATURE: &[u8] = b"NTLMSSP\0";

/// Every encryption type prefixes a confounder and adds an integrity check; less cannot be an authenticator.
const SHORTEST_CIPHER: usize = 24;

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
