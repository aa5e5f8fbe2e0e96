//! The calls into the system's GSS library (RFC 2744): the only unsafe code of the project.
//!
//! Each function makes its calls, copies what the library returned and releases it before it returns. Nothing
//! here decides whether a caller is let in. Absent on purpose: environment variables (keytab and replay cache
//! are arguments), delegated credentials, more than one round, minor codes and status texts.

#![expect(unsafe_code, reason = "the one audited file that calls the GSS library")]

use std::{ffi::CStr, ptr, slice};

use libgssapi_sys as gss;

use super::{AcquireFailure, Outcome};

/// An acceptor credential for one service principal of one keytab.
pub(super) struct Credential(gss::gss_cred_id_t);

// SAFETY: MIT krb5 guards a credential with a mutex of its own and ties it to no thread; here it is only ever
// passed by value to `gss_accept_sec_context`, and released once, when the last owner is gone.
unsafe impl Send for Credential {}
// SAFETY: as above; concurrent `gss_accept_sec_context` calls with one credential are supported.
unsafe impl Sync for Credential {}

impl Credential {
    /// `keytab` is a typed name such as `FILE:/etc/goldfin.keytab`; `principal` has its realm.
    pub(super) fn acquire(keytab: &CStr, principal: &str) -> Result<Self, AcquireFailure> {
        let name = Name::import(principal)?;
        let mut elements = [
            gss::gss_key_value_element_desc { key: c"keytab".as_ptr(), value: keytab.as_ptr() },
            // No replay cache of this host: the replay table shared by all nodes takes its place.
            gss::gss_key_value_element_desc { key: c"rcache".as_ptr(), value: c"none:".as_ptr() },
        ];
        let store = gss::gss_key_value_set_desc { count: 2, elements: elements.as_mut_ptr() };
        // A krb5-only credential refuses every SPNEGO token, so both mechanisms are asked for.
        let mut mechanisms = [oid(SPNEGO), oid(KRB5)];
        let mut set = gss::gss_OID_set_desc { count: mechanisms.len(), elements: mechanisms.as_mut_ptr() };
        let (mut minor, mut credential) = (0, ptr::null_mut());
        // SAFETY: every pointer refers to a live local of the type the call asks for; the key-value set and the
        // OIDs are only read; `credential` receives a handle that `Drop` releases.
        let major = unsafe {
            gss::gss_acquire_cred_from(
                &mut minor,
                name.0,
                gss::_GSS_C_INDEFINITE,
                &mut set,
                gss::GSS_C_ACCEPT.cast_signed(),
                &store,
                &mut credential,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        let credential = Self(credential);
        if major == gss::GSS_S_COMPLETE { Ok(credential) } else { Err(AcquireFailure::Library(major)) }
    }

    /// One round of `gss_accept_sec_context`. The principal is read only from an established context.
    pub(super) fn accept(&self, token: &[u8], binding: Option<&[u8]>) -> Outcome {
        let mut input = borrowed(token);
        let mut bindings = binding.map(channel_bindings);
        let bindings = bindings.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
        let (mut minor, mut flags, mut lifetime) = (0, 0, 0);
        let mut context = Context(ptr::null_mut());
        let mut source = Name(ptr::null_mut());
        let mut reply = Buffer(borrowed(&[]));
        // SAFETY: all pointers refer to live locals; `input` and the bindings are only read by the library
        // although its types say mutable; context, name and buffer are released by their `Drop`.
        let major = unsafe {
            gss::gss_accept_sec_context(
                &mut minor,
                &mut context.0,
                self.0,
                &mut input,
                bindings,
                &mut source.0,
                ptr::null_mut(),
                &mut reply.0,
                &mut flags,
                &mut lifetime,
                ptr::null_mut(),
            )
        };
        let established = major == gss::GSS_S_COMPLETE && !context.0.is_null();
        let principal = if established { source.display() } else { None };
        Outcome { major, flags, lifetime_seconds: lifetime, principal, reply: reply.bytes() }
    }
}

impl Drop for Credential {
    fn drop(&mut self) {
        let mut minor = 0;
        if !self.0.is_null() {
            // SAFETY: the handle came from `gss_acquire_cred_from` and is released once.
            unsafe { gss::gss_release_cred(&mut minor, &mut self.0) };
        }
    }
}

struct Name(gss::gss_name_t);

impl Name {
    fn import(principal: &str) -> Result<Self, AcquireFailure> {
        let mut text = borrowed(principal.as_bytes());
        let mut kind = oid(KRB5_PRINCIPAL_NAME);
        let (mut minor, mut name) = (0, ptr::null_mut());
        // SAFETY: `text` and `kind` are read only and outlive the call; `name` is released by `Drop`.
        let major = unsafe { gss::gss_import_name(&mut minor, &mut text, &mut kind, &mut name) };
        let name = Self(name);
        if major == gss::GSS_S_COMPLETE { Ok(name) } else { Err(AcquireFailure::Library(major)) }
    }

    fn display(&self) -> Option<Vec<u8>> {
        if self.0.is_null() {
            return None;
        }
        let mut minor = 0;
        let mut text = Buffer(borrowed(&[]));
        // SAFETY: the name is live; `text` receives an allocation that its `Drop` releases; no type is asked for.
        let major = unsafe { gss::gss_display_name(&mut minor, self.0, &mut text.0, ptr::null_mut()) };
        (major == gss::GSS_S_COMPLETE).then(|| text.bytes())
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let mut minor = 0;
        if !self.0.is_null() {
            // SAFETY: the name came from the library and is released once.
            unsafe { gss::gss_release_name(&mut minor, &mut self.0) };
        }
    }
}

struct Context(gss::gss_ctx_id_t);

impl Drop for Context {
    fn drop(&mut self) {
        let mut minor = 0;
        if !self.0.is_null() {
            // SAFETY: the context came from the library and is deleted once, without a closing token.
            unsafe { gss::gss_delete_sec_context(&mut minor, &mut self.0, ptr::null_mut()) };
        }
    }
}

/// A buffer that the library allocates and that goes back to it.
struct Buffer(gss::gss_buffer_desc);

impl Buffer {
    fn bytes(&self) -> Vec<u8> {
        if self.0.value.is_null() || self.0.length == 0 {
            return Vec::new();
        }
        // SAFETY: the library says that `value` points to `length` bytes, which live until `Drop`.
        unsafe { slice::from_raw_parts(self.0.value.cast::<u8>(), self.0.length) }.to_vec()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut minor = 0;
        if !self.0.value.is_null() {
            // SAFETY: the buffer starts out null, so the library filled it; released once.
            unsafe { gss::gss_release_buffer(&mut minor, &mut self.0) };
        }
    }
}

fn borrowed(bytes: &[u8]) -> gss::gss_buffer_desc {
    let value = if bytes.is_empty() { ptr::null_mut() } else { bytes.as_ptr().cast_mut().cast() };
    gss::gss_buffer_desc { length: bytes.len(), value }
}

fn oid(bytes: &'static [u8]) -> gss::gss_OID_desc {
    gss::gss_OID_desc { length: bytes.len().try_into().unwrap_or(0), elements: bytes.as_ptr().cast_mut().cast() }
}

fn channel_bindings(data: &[u8]) -> gss::gss_channel_bindings_struct {
    gss::gss_channel_bindings_struct {
        initiator_addrtype: 0,
        initiator_address: borrowed(&[]),
        acceptor_addrtype: 0,
        acceptor_address: borrowed(&[]),
        application_data: borrowed(data),
    }
}

/// 1.3.6.1.5.5.2
const SPNEGO: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x02];
/// 1.2.840.113554.1.2.2
const KRB5: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02];
/// 1.2.840.113554.1.2.2.1: the name is a principal in its text form, not a host to be canonicalised.
const KRB5_PRINCIPAL_NAME: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02, 0x01];
