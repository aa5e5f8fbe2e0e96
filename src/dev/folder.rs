//! Folders of `goldfin dev`: one process at a time may hold one, and an ephemeral one goes away with its holder.
//!
//! It must never delete a folder that it did not make.

use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;

use super::error::DevError;
use super::process as processes;

const PREFIX: &str = "goldfin-ephemeral-";
const LOCK: &str = "lock";

/// Proof that this process, and no other, uses a folder. Released when dropped, and by the kernel when the
/// process dies in whatever way.
#[derive(Debug)]
pub struct FolderLock {
    _held: File,
}

impl FolderLock {
    /// Takes the lock of `folder`, which must exist; fails at once when another process holds it.
    pub fn take(folder: &Path) -> Result<Self, DevError> {
        let path = folder.join(LOCK);
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(DevError::file("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _held: file }),
            Err(TryLockError::WouldBlock) => Err(DevError::InUse(folder.to_owned())),
            Err(TryLockError::Error(source)) => Err(DevError::file("lock", &path)(source)),
        }
    }
}

/// A new, empty folder in the system's temporary folder, deleted with everything in it when dropped.
///
/// What a killed process left is deleted when the next one makes its own.
#[derive(Debug)]
pub struct EphemeralFolder {
    path: PathBuf,
    _lock: FolderLock,
}

impl EphemeralFolder {
    /// Makes one that only its owner, and a database server passing through, may enter.
    pub fn create() -> Result<Self, DevError> {
        Self::create_in(&std::env::temp_dir())
    }

    pub(super) fn create_in(parent: &Path) -> Result<Self, DevError> {
        remove_abandoned(parent);
        let path = new_folder(parent, &format!("{PREFIX}{}-", process::id()))?;
        let lock = FolderLock::take(&path)?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for EphemeralFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot delete the ephemeral folder");
        }
    }
}

/// Makes the first folder `parent/<prefix><number>` that does not exist yet, mode 0711.
pub(super) fn new_folder(parent: &Path, prefix: &str) -> Result<PathBuf, DevError> {
    let mut number = 0_u32;
    loop {
        let path = parent.join(format!("{prefix}{number}"));
        match make_passable(&path) {
            Ok(()) => return Ok(path),
            Err(taken) if taken.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(source) => return Err(DevError::file("make", &path)(source)),
        }
    }
}

/// Makes a folder that others may pass through and not read, whatever the umask: a strict one would lock the database's user out.
pub(super) fn make_passable(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o711))
}

/// Deletes the ephemeral folders of processes that are gone, and stops the servers that still run in them.
fn remove_abandoned(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let owner = entry.file_name().to_str().and_then(owner_of);
        if owner.is_some_and(|pid| !processes::alive(pid))
            && is_ours(&path)
            && let Ok(_lock) = FolderLock::take(&path)
        {
            processes::stop_below(&path);
            if let Err(error) = fs::remove_dir_all(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot delete an abandoned ephemeral folder");
            }
        }
    }
}

fn owner_of(name: &str) -> Option<u32> {
    let (pid, _) = name.strip_prefix(PREFIX)?.split_once('-')?;
    pid.parse().ok()
}

/// The temporary folder is shared: a link, or a folder of another user, is none of our business.
fn is_ours(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == nix::unistd::geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_by_one_at_a_time() {
        let folder = EphemeralFolder::create().unwrap();
        let inner = folder.path().join("data");
        fs::create_dir(&inner).unwrap();
        let held = FolderLock::take(&inner).unwrap();
        assert!(matches!(FolderLock::take(&inner), Err(DevError::InUse(path)) if path == inner));
        drop(held);
        FolderLock::take(&inner).unwrap();
    }

    #[test]
    fn an_ephemeral_folder_goes_away_and_so_does_what_the_dead_left() {
        let parent = EphemeralFolder::create().unwrap();
        let abandoned = parent.path().join(format!("{PREFIX}{}-0", u32::MAX));
        let unrelated = parent.path().join("goldfin-ephemeral-of-somebody");
        fs::create_dir(&abandoned).unwrap();
        fs::write(abandoned.join("file"), "left behind").unwrap();
        fs::create_dir(&unrelated).unwrap();

        let first = EphemeralFolder::create_in(parent.path()).unwrap();
        let second = EphemeralFolder::create_in(parent.path()).unwrap();
        assert!(!abandoned.exists());
        assert!(unrelated.exists() && first.path().exists() && second.path().exists());
        assert_ne!(first.path(), second.path());

        let path = first.path().to_owned();
        drop(first);
        assert!(!path.exists());
    }
}
