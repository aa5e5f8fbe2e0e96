//! The keys of a Kerberos service: stored encrypted, and for the Kerberos library a file that no other process can open.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use goldfin_crypto::{Ciphertext, DataKey, KeyId, Keyring, Place, Plaintext, RowId, WrappedKey};
use serde::{Deserialize, Serialize};

use super::kerberos_config::KerberosConfig;
use crate::auth::kerberos::{Acceptor, KerberosError};
use crate::model::fault::{Complaint, Fault};
use crate::model::id::{MountId, ROOT_NAMESPACE};
use crate::seal::barrier::{Barrier, fault};

/// A keytab as its control row holds it, in base64: a data key under the keyring, and the keys under that.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SealedKeytab {
    wrapped_key: String,
    ciphertext: String,
}

struct KeyPlace(MountId);
struct KeytabPlace(MountId);

impl Place for KeyPlace {
    const TABLE: &'static str = "control";
    const COLUMN: &'static str = "body.keytab.wrapped_key";

    fn namespace(&self) -> i32 {
        ROOT_NAMESPACE
    }

    fn row(&self, row: &mut RowId) {
        row.text("config");
        row.number(self.0.0.into());
    }

    // The row's own MAC covers its version.
    fn version(&self) -> u64 {
        0
    }
}

impl Place for KeytabPlace {
    const TABLE: &'static str = "control";
    const COLUMN: &'static str = "body.keytab.ciphertext";

    fn namespace(&self) -> i32 {
        ROOT_NAMESPACE
    }

    fn row(&self, row: &mut RowId) {
        row.text("config");
        row.number(self.0.0.into());
    }

    fn version(&self) -> u64 {
        0
    }
}

impl SealedKeytab {
    pub(super) fn seal(barrier: &Barrier, mount: MountId, keytab: &Plaintext) -> Result<Self, Fault> {
        let key = DataKey::generate(KeyId { id: u32::try_from(mount.0).unwrap_or(0), version: 1 }).map_err(fault)?;
        let ciphertext = key.encrypt(&KeytabPlace(mount), keytab).map_err(fault)?;
        let wrapped = barrier.wrap(&KeyPlace(mount), &key)?;
        Ok(Self { wrapped_key: STANDARD.encode(wrapped.as_bytes()), ciphertext: STANDARD.encode(ciphertext.as_bytes()) })
    }

    fn open(&self, barrier: &Barrier, mount: MountId) -> Result<Plaintext, Fault> {
        let key = barrier.unwrap_key(&KeyPlace(mount), &self.key()?)?;
        let ciphertext = Ciphertext::from_stored(stored(&self.ciphertext)?).map_err(fault)?;
        key.decrypt(&KeytabPlace(mount), &ciphertext).map_err(fault)
    }

    fn key(&self) -> Result<WrappedKey<KeyPlace>, Fault> {
        WrappedKey::from_stored(stored(&self.wrapped_key)?).map_err(fault)
    }
}

fn stored(text: &str) -> Result<Vec<u8>, Fault> {
    STANDARD.decode(text).map_err(|_| Fault::Integrity("a stored keytab cannot be read"))
}

/// Moves the key of a stored keytab under the keyring's primary; for its rotation. Gives the configuration as it is to be stored, or
/// None where nothing is to be moved.
pub fn rewrap(ring: &Keyring, mount: MountId, body: &str) -> Result<Option<String>, Fault> {
    let unreadable = Fault::Integrity("a control row cannot be read");
    let Ok(mut config) = serde_json::from_str::<KerberosConfig>(body) else { return Err(unreadable) };
    let Some(keytab) = &mut config.keytab else { return Ok(None) };
    let Some(wrapped) = ring.rewrap(&KeyPlace(mount), &keytab.key()?).map_err(fault)? else { return Ok(None) };
    keytab.wrapped_key = STANDARD.encode(wrapped.as_bytes());
    serde_json::to_string(&config).map(Some).map_err(|_| Fault::Internal("config"))
}

/// Accepts the tickets of one method. The library reads its keytab again for each login, so the file lives as long as this.
#[derive(Debug)]
pub(super) struct Service {
    pub acceptor: Acceptor,
    _memory: Option<OwnedFd>,
}

impl Service {
    /// Blocks: reads files. `given` are keys that are not stored yet.
    pub fn open(barrier: &Barrier, mount: MountId, config: &KerberosConfig, given: Option<&Plaintext>) -> Result<Self, Fault> {
        let stored = match (given, &config.keytab) {
            (None, Some(sealed)) => Some(sealed.open(barrier, mount)?),
            _ => None,
        };
        let (path, memory) = match given.or(stored.as_ref()) {
            Some(keytab) => {
                let memory = in_memory(keytab)?;
                (PathBuf::from(format!("/proc/self/fd/{}", memory.as_raw_fd())), Some(memory))
            }
            None => (private(Path::new(&config.keytab_file))?, None),
        };
        let acceptor = Acceptor::new(&path, &config.service_account).map_err(|error| refusal(&error))?;
        Ok(Self { acceptor, _memory: memory })
    }
}

/// The keys of a request, from base64.
pub(super) fn decode(text: &Plaintext) -> Result<Plaintext, Fault> {
    let refused = || Fault::Invalid(Complaint::new("is no keytab in base64").at("keytab"));
    let keytab = Plaintext::new(STANDARD.decode(text.expose().trim_ascii()).map_err(|_| refused())?);
    // The two versions of the file format; what else a keytab may be is the library's matter.
    if keytab.expose().starts_with(&[5, 2]) || keytab.expose().starts_with(&[5, 1]) { Ok(keytab) } else { Err(refused()) }
}

/// A file without a name, in this process only. It is never on a disk.
fn in_memory(keytab: &Plaintext) -> Result<OwnedFd, Fault> {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    let file =
        memfd_create(c"keytab", MFdFlags::MFD_CLOEXEC).map_err(|_| Fault::Unavailable("the system gives no memory for the keytab"))?;
    let mut file = std::fs::File::from(file);
    std::io::Write::write_all(&mut file, keytab.expose()).map_err(|_| Fault::Unavailable("the system gives no memory for the keytab"))?;
    Ok(file.into())
}

/// Refuses a file that others can read: with the keys in it they could pass for anybody.
fn private(path: &Path) -> Result<PathBuf, Fault> {
    let wrong = |what| Fault::Invalid(Complaint::new(what).at("keytab_file"));
    let found = std::fs::metadata(path).map_err(|_| wrong("cannot be read on this server"))?;
    if !found.is_file() {
        return Err(wrong("is no file"));
    }
    if found.mode() & 0o077 != 0 {
        return Err(wrong("can be read by others on this server, run `chmod 600` on it"));
    }
    Ok(path.to_owned())
}

fn refusal(error: &KerberosError) -> Fault {
    Fault::invalid(match error {
        KerberosError::BadPrincipal(_) => "`service_account` must be a complete principal such as `HTTP/vault.example.org@EXAMPLE.ORG`",
        KerberosError::KeytabUnreadable(..) => "the keytab cannot be read on this server",
        KerberosError::PrincipalNotInKeytab(_) => {
            "the keytab has no key of `service_account`; compare with `klist -k` and export the principal again"
        }
        KerberosError::Library(_) => "the Kerberos library refuses the keytab; check krb5.conf, and the keytab with `klist -k`",
        KerberosError::NotBuilt => "this goldfin was built without Kerberos; use a build with the `kerberos` feature",
    })
}
