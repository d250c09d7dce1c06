//! The directory in which native code is kept.
//!
//! It is `compiled` in the cache directory, made with mode 0700. What is loaded from there runs with all rights of the host, so the host
//! refuses a directory and files that are neither its user's nor root's, or that others may write to. Who may write to
//! the directories above it could put another directory in its place; that they are the user's own is the user's to see to, as
//! it is for the program itself.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::engine::{EngineError, Uncached};

/// Bytes that are kept: some hundred plugins, or a few dozen of languages that bring their runtime.
const MAX_BYTES: u64 = 2 << 30;
/// Of so many that are added, one has the others looked at.
const TIDY_INTERVAL: u64 = 64;
/// What was not finished after so long never will be.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);
/// For so long, what took too much is not tried again.
const REFUSAL_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// Between two looks whether another has finished.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The ending of a file that is whole.
const WHOLE: &str = "native";
/// Of one that is not yet.
const PART: &str = "part";
/// Of a note why there is none.
const REFUSED: &str = "refused";

/// A directory of native code.
#[derive(Clone, Debug)]
pub(super) struct CompiledDirectory(PathBuf);

impl CompiledDirectory {
    /// Opens the directory, and makes it if it does not exist.
    pub(super) fn open(cache: &Path) -> Result<Self, EngineError> {
        let directory = cache.join("compiled");
        let failed = |reason: String| EngineError::from(Uncached { directory: directory.clone(), reason });
        let make = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        make.map_err(|error| failed(error.to_string()))?;
        let directory = directory.canonicalize().map_err(|error| failed(error.to_string()))?;
        let metadata = fs::metadata(&directory).map_err(|error| failed(error.to_string()))?;
        if !is_ours(&metadata) {
            let reason = "other users may write there, and the host runs what it finds there".to_owned();
            return Err(Uncached { directory, reason }.into());
        }
        Ok(Self(directory))
    }

    pub(super) fn path(&self) -> PathBuf {
        self.0.clone()
    }

    /// Returns the file of this name, if it is there and may be loaded. It counts as used.
    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        let path = self.0.join(name).with_extension(WHOLE);
        let file = File::open(&path).ok()?;
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() || !is_ours(&metadata) {
            tracing::warn!(
                event = "cache.refuse", path = %path.display(),
                "a compiled plugin is not used: other users may write it"
            );
            return None;
        }
        // Where it is root's, this may not be done.
        let _ = file.set_modified(SystemTime::now());
        Some(path)
    }

    /// Returns a place to write the file that will have this name.
    pub(super) fn part(&self, name: &str) -> PartialFile {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let whole = self.0.join(name).with_extension(WHOLE);
        let part = self.0.join(format!("{name}-{}-{number}", std::process::id())).with_extension(PART);
        PartialFile { part, whole }
    }

    /// Notes why what would have this name is not made.
    pub(super) fn refuse(&self, name: &str, reason: &str) {
        let part = self.part(name);
        // Where it cannot be noted, it is found out again.
        if write(&part.part, reason.as_bytes()).is_ok() {
            let _ = fs::rename(&part.part, self.0.join(name).with_extension(REFUSED));
        }
    }

    /// Returns why the file of this name is not made, if that was found out recently.
    pub(super) fn refused(&self, name: &str) -> Option<String> {
        let path = self.0.join(name).with_extension(REFUSED);
        let age = SystemTime::now().duration_since(fs::metadata(&path).ok()?.modified().ok()?).ok()?;
        let reason = fs::read_to_string(&path).ok().filter(|_| age < REFUSAL_LIFETIME)?;
        let minutes = age.as_secs() / 60;
        Some(format!(
            "{reason}, as was found out {minutes} min ago; remove {} to try it again",
            path.display()
        ))
    }

    /// Waits until nobody else compiles into this directory. One who takes longer than it may, or stands still, is not waited for; and
    /// where files cannot be locked, nobody is.
    pub(super) fn turn(&self, longest: Duration) -> Option<File> {
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(self.0.join("lock"));
        let lock = lock.ok()?;
        let started = Instant::now();
        while started.elapsed() < longest {
            match lock.try_lock() {
                Ok(()) => return Some(lock),
                Err(TryLockError::WouldBlock) => std::thread::sleep(POLL_INTERVAL),
                Err(TryLockError::Error(_)) => return None,
            }
        }
        None
    }

    /// Removes what has not been used for longest, where there is too much. To be called when something was added: now and then, it
    /// looks.
    pub(super) fn tidy(&self) {
        static ADDED: AtomicU64 = AtomicU64::new(0);
        if !ADDED.fetch_add(1, Ordering::Relaxed).is_multiple_of(TIDY_INTERVAL) {
            return;
        }
        let Ok(entries) = fs::read_dir(&self.0) else { return };
        let (now, mut whole) = (SystemTime::now(), Vec::new());
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let used = metadata.modified().unwrap_or(now);
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(WHOLE) => whole.push((used, metadata.len(), path)),
                Some(PART) if now.duration_since(used).is_ok_and(|age| age > ABANDONED_AFTER) => {
                    remove(&path)
                }
                Some(REFUSED) if now.duration_since(used).is_ok_and(|age| age > REFUSAL_LIFETIME) => {
                    remove(&path)
                }
                _ => {}
            }
        }
        whole.sort_unstable();
        let mut kept: u64 = whole.iter().map(|(_, size, _)| size).sum();
        // Not the last, which was just made, however large it is.
        whole.pop();
        for (_, size, path) in whole {
            if kept <= MAX_BYTES {
                return;
            }
            remove(&path);
            kept -= size;
        }
    }
}

/// A file that is not whole yet. Dropped, it is gone.
pub(super) struct PartialFile {
    part: PathBuf,
    whole: PathBuf,
}

impl PartialFile {
    pub(super) fn path(&self) -> &Path {
        &self.part
    }

    /// Keeps the file: it is complete.
    pub(super) fn keep(self) -> std::io::Result<()> {
        fs::rename(&self.part, &self.whole)
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        remove(&self.part);
    }
}

/// Writes a file that was not there, and that is on the disk when this returns.
pub(super) fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Returns whether only this user, or root, may write it.
fn is_ours(metadata: &fs::Metadata) -> bool {
    let owner = metadata.uid();
    (owner == rustix::process::geteuid().as_raw() || owner == 0) && metadata.mode() & 0o022 == 0
}

/// Another may have been faster.
fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_others_may_write_is_not_loaded() {
        let cache = tempfile::tempdir().unwrap();
        let directory = CompiledDirectory::open(cache.path()).unwrap();
        assert_eq!(fs::metadata(&directory.0).unwrap().mode() & 0o777, 0o700);
        let part = directory.part("a");
        write(part.path(), b"native code").unwrap();
        assert_eq!(directory.find("a"), None, "it is not whole");
        part.keep().unwrap();
        let file = directory.find("a").unwrap();
        chmod(&file, 0o620);
        assert_eq!(directory.find("a"), None);
        chmod(&file, 0o640);
        assert!(directory.find("a").is_some());
        for mode in [0o770, 0o702] {
            chmod(&directory.0, mode);
            let said = CompiledDirectory::open(cache.path()).unwrap_err().to_string();
            assert!(said.contains("other users may write there"), "{said}");
        }
    }

    #[test]
    fn one_at_a_time_has_its_turn_and_one_who_stands_still_is_not_waited_for() {
        let cache = tempfile::tempdir().unwrap();
        let directory = CompiledDirectory::open(cache.path()).unwrap();
        let first = directory.turn(Duration::from_secs(60)).unwrap();
        assert!(directory.turn(Duration::from_millis(50)).is_none());
        drop(first);
        assert!(directory.turn(Duration::from_secs(60)).is_some());
    }

    #[test]
    fn what_is_given_up_leaves_nothing() {
        let cache = tempfile::tempdir().unwrap();
        let directory = CompiledDirectory::open(cache.path()).unwrap();
        let part = directory.part("a");
        write(part.path(), b"half").unwrap();
        drop(part);
        assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 0);
    }
}
