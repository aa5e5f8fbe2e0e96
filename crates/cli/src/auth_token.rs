//! The token that a user shows, and the file that remembers it between commands.
//!
//! The file is `~/.goldfin-token`, readable by its owner only; one that others can read is refused, because it may already have
//! been read. Absent on purpose: a token as a command-line argument, which every process of the host could see.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::surroundings::Surroundings;

pub struct AuthToken(Zeroizing<String>);

impl AuthToken {
    pub fn new(text: impl Into<String>) -> Result<Self, Failure> {
        let text = Zeroizing::new(text.into());
        let trimmed = text.trim();
        if trimmed.is_empty() || !trimmed.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::local("the token is empty or holds characters that no token has", "log in again with `goldfin login`"));
        }
        Ok(Self(Zeroizing::new(trimmed.to_owned())))
    }

    pub fn from_file(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| {
            Failure::local(
                format!("the token file `{}` cannot be opened: {error}", path.display()),
                "check `--token-file`, or log in with `goldfin login`",
            )
        })?;
        Self::read(file, path)
    }

    /// What the last `goldfin login` stored.
    pub fn remembered(around: &Surroundings) -> Result<Option<Self>, Failure> {
        let Ok(path) = file_of(around) else { return Ok(None) };
        match File::open(&path) {
            Ok(file) => Self::read(file, &path).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => {
                Err(Failure::local(format!("`{}` cannot be opened: {error}", path.display()), "remove it and log in with `goldfin login`"))
            }
        }
    }

    /// Stores it for the commands to come; a reader sees the old file or the new one, never half of one.
    pub fn remember(&self, around: &Surroundings) -> Result<PathBuf, Failure> {
        let path = file_of(around)?;
        write_private(&path, self.0.as_bytes())?;
        Ok(path)
    }

    pub fn forget(around: &Surroundings) -> Result<(), Failure> {
        let path = file_of(around)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Failure::local(format!("`{}` cannot be removed: {error}", path.display()), "remove it yourself"))
            }
            _ => Ok(()),
        }
    }

    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The permissions are read from the open file: the name could point elsewhere a moment later.
    fn read(file: File, path: &Path) -> Result<Self, Failure> {
        let cannot = |error| Failure::local(format!("`{}` cannot be read: {error}", path.display()), "check that it is a file of yours");
        let mode = file.metadata().map_err(cannot)?.mode();
        if mode & 0o077 != 0 {
            return Err(Failure::local(
                format!("`{}` can be read by others, so the token in it may be known", path.display()),
                "log in again with `goldfin login`, or `chmod 600` it if you know that it is not",
            ));
        }
        let mut text = Zeroizing::new(String::new());
        file.take(LONGEST).read_to_string(&mut text).map_err(cannot)?;
        Self::new(text.as_str())
    }
}

/// Writes a file that only its owner can read, complete or not at all.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let cannot =
        |error| Failure::local(format!("`{}` cannot be written: {error}", path.display()), "check the folder's permissions and space");
    if fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()) {
        // Renaming over `/dev/stdout` would replace the device.
        return Err(Failure::local(format!("`{}` is there already and is not a plain file", path.display()), "name a file of yours"));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let draft = path.with_file_name(name);
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    write().map_err(|error| {
        // The draft holds a secret; if it cannot be removed either, the first error is still the one to report.
        let _ = fs::remove_file(&draft);
        cannot(error)
    })
}

fn file_of(around: &Surroundings) -> Result<PathBuf, Failure> {
    let home = around
        .home()
        .ok_or_else(|| Failure::local("`HOME` is not set, so there is no place for the token", "set `HOME`, or use `--token-file`"))?;
    Ok(home.join(".goldfin-token"))
}

const LONGEST: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_file_that_others_can_read_is_refused() {
        let folder = crate::fixture::Folder::new();
        let path = folder.path().join("token");
        write_private(&path, b"synthetic-token\n").unwrap();
        assert_eq!(AuthToken::from_file(&path).ok().unwrap().expose(), "synthetic-token");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for mode in [0o640, 0o604, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(AuthToken::from_file(&path).err().unwrap().to_string().contains("read by others"));
        }
    }

    #[test]
    fn writing_replaces_and_leaves_no_draft() {
        let folder = crate::fixture::Folder::new();
        let path = folder.path().join("token");
        write_private(&path, b"one").unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_token_cannot_smuggle_a_header() {
        for bad in ["", " \n", "a\nb", "a b", "é"] {
            assert!(AuthToken::new(bad).is_err());
        }
    }
}
