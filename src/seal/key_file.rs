//! The key file: the unseal key for unattended starts, in a file or a systemd credential that only goldfin's user can read.

use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use goldfin_crypto::{Key, Share, Zeroizing, shamir};

/// Why a key file cannot be used. Names the file and what to do.
#[derive(Debug)]
pub struct KeyFileError(pub String);

impl std::fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for KeyFileError {}

/// Whether a file is only its owner's, or was handed over by systemd: a credential belongs to root and may be read by our group.
#[must_use]
pub fn is_private(file: &std::fs::Metadata) -> bool {
    let handed_over = file.uid() == 0 && !nix::unistd::geteuid().is_root() && file.mode() & 0o037 == 0;
    file.mode() & 0o077 == 0 || handed_over
}

/// Reads the key; None where there is no such file yet.
pub fn read(path: &Path) -> Result<Option<Key>, KeyFileError> {
    let failed = |what: &str| KeyFileError(format!("the key file {} {what}", path.display()));
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&format!("cannot be read: {error}"))),
    };
    let metadata = file.metadata().map_err(|error| failed(&format!("cannot be read: {error}")))?;
    if !is_private(&metadata) {
        return Err(failed("can be read by others; run `chmod 600` on it"));
    }
    let mut text = Zeroizing::new(String::with_capacity(64));
    (&mut file).take(64).read_to_string(&mut text).map_err(|_| failed("does not hold a key"))?;
    let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| failed("does not hold a key in base64"))?);
    let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| failed("does not hold a key of 32 bytes"))?;
    Ok(Some(Key::from_exposed(Zeroizing::new(bytes))))
}

/// Reads the key from a key file, or puts it together from the shares in the answer of `init`.
pub fn read_any(path: &Path) -> Result<Key, KeyFileError> {
    let failed = |what: &str| KeyFileError(format!("{} {what}", path.display()));
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(|error| failed(&format!("cannot be read: {error}")))?);
    if !text.trim_start().starts_with('{') {
        return read(path)?.ok_or_else(|| failed("is not there"));
    }
    let document: serde_json::Value = serde_json::from_str(&text).map_err(|_| failed("is not the answer of `init`"))?;
    let texts = document.get("keys_base64").and_then(serde_json::Value::as_array).ok_or_else(|| failed("holds no `keys_base64`"))?;
    let shares: Option<Vec<Share>> =
        texts.iter().map(|share| Share::from_bytes(&Zeroizing::new(STANDARD.decode(share.as_str()?).ok()?)).ok()).collect();
    shamir::combine(&shares.ok_or_else(|| failed("holds a share that cannot be read"))?).map_err(|_| failed("holds too few shares"))
}

/// Writes the key into a new file that only its owner can read, and waits until it is on disk. An existing file is never replaced.
pub fn write(path: &Path, key: &Key) -> Result<(), KeyFileError> {
    let failed = |error: std::io::Error| KeyFileError(format!("the key file {} cannot be written: {error}", path.display()));
    let mut text = Zeroizing::new(STANDARD.encode(key.expose_bytes()));
    text.push('\n');
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn reads_back_and_refuses_open_files() {
        let folder = std::env::temp_dir().join(format!("goldfin-key-file-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("folder");
        let path = folder.join("unseal.key");
        let key = Key::generate().expect("key");
        assert!(read(&path).expect("absent").is_none());
        write(&path, &key).expect("written");
        assert!(write(&path, &key).is_err(), "an existing file was replaced");
        let again = read(&path).expect("readable").expect("there");
        assert!(again.expose_bytes() == key.expose_bytes());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("mode");
        assert!(read(&path).is_err());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("mode");
        std::fs::write(&path, "bm90IGEga2V5").expect("short");
        assert!(read(&path).is_err());
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
