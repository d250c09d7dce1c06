//! The directory that stores native code.
//!
//! It is `compiled` in the cache directory, made with mode 0700. Native code runs with all rights of the host, so the host refuses a
//! directory or file that belongs to another user than its own and root, or that others may write to. A user who may write to the
//! directories above could replace the directory; the operator must prevent that, as for the program itself.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::engine::{EngineError, Uncached};

/// Bytes that are stored: some hundred plugins, or a few dozen in languages that bring their runtime.
const MAX_BYTES: u64 = 2 << 30;
/// The number of added files after which old ones are removed.
const CLEANUP_INTERVAL: u64 = 64;
/// The age at which an incomplete file is abandoned.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);
/// How long a refused component is not compiled again.
const REFUSAL_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// The interval at which the end of another compilation is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The extension of a complete file.
const COMPLETE: &str = "native";
/// The extension of an incomplete file.
const INCOMPLETE: &str = "part";
/// The extension of a file with the reason why there is no native code.
const REFUSED: &str = "refused";

/// A directory of native code.
#[derive(Clone, Debug)]
pub(super) struct CompiledDirectory(PathBuf);

impl CompiledDirectory {
    /// Opens the directory, and makes it if necessary.
    pub(super) fn open(cache: &Path) -> Result<Self, EngineError> {
        let directory = cache.join("compiled");
        let failed = |reason: String| EngineError::from(Uncached { directory: directory.clone(), reason });
        let make = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        make.map_err(|error| failed(error.to_string()))?;
        let directory = directory.canonicalize().map_err(|error| failed(error.to_string()))?;
        let metadata = fs::metadata(&directory).map_err(|error| failed(error.to_string()))?;
        if !is_trusted(&metadata) {
            let reason = "other users may write there, and the host runs the code in it".to_owned();
            return Err(Uncached { directory, reason }.into());
        }
        Ok(Self(directory))
    }

    pub(super) fn path(&self) -> PathBuf {
        self.0.clone()
    }

    /// Returns the file with this name, if it exists and may be loaded, and marks it as used now.
    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        let path = self.0.join(name).with_extension(COMPLETE);
        let file = File::open(&path).ok()?;
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() || !is_trusted(&metadata) {
            tracing::warn!(
                event = "cache.refuse", path = %path.display(),
                "a compiled plugin is not used: other users may write it"
            );
            return None;
        }
        // This fails if root owns the file.
        let _ = file.set_modified(SystemTime::now());
        Some(path)
    }

    /// Returns an incomplete file that will get this name.
    pub(super) fn part(&self, name: &str) -> PartialFile {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let whole = self.0.join(name).with_extension(COMPLETE);
        let part = self.0.join(format!("{name}-{}-{number}", std::process::id())).with_extension(INCOMPLETE);
        PartialFile { part, whole }
    }

    /// Records why the file with this name is not made.
    pub(super) fn refuse(&self, name: &str, reason: &str) {
        let part = self.part(name);
        // If this fails, the component is compiled again.
        if write(&part.part, reason.as_bytes()).is_ok() {
            let _ = fs::rename(&part.part, self.0.join(name).with_extension(REFUSED));
        }
    }

    /// Returns why the file with this name is not made, if that was recorded recently.
    pub(super) fn refused(&self, name: &str) -> Option<String> {
        let path = self.0.join(name).with_extension(REFUSED);
        let age = SystemTime::now().duration_since(fs::metadata(&path).ok()?.modified().ok()?).ok()?;
        let reason = fs::read_to_string(&path).ok().filter(|_| age < REFUSAL_LIFETIME)?;
        let minutes = age.as_secs() / 60;
        Some(format!("{reason}, found {minutes} min ago; remove {} to try again", path.display()))
    }

    /// Waits until nobody else compiles into this directory, but no longer than a compilation may take. If files cannot be locked, it
    /// does not wait.
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

    /// Removes the least recently used files if there are too many bytes. To be called after each added file: every
    /// [`CLEANUP_INTERVAL`] calls, it checks.
    pub(super) fn clean_up(&self) {
        static ADDED: AtomicU64 = AtomicU64::new(0);
        if !ADDED.fetch_add(1, Ordering::Relaxed).is_multiple_of(CLEANUP_INTERVAL) {
            return;
        }
        let Ok(entries) = fs::read_dir(&self.0) else { return };
        let (now, mut whole) = (SystemTime::now(), Vec::new());
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let used = metadata.modified().unwrap_or(now);
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(COMPLETE) => whole.push((used, metadata.len(), path)),
                Some(INCOMPLETE) if now.duration_since(used).is_ok_and(|age| age > ABANDONED_AFTER) => {
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
        // The newest file stays, however large it is.
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

/// An incomplete file. It is removed when this is dropped.
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

/// Writes a new file, which is on the disk when this returns.
pub(super) fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Returns whether only this user and root may write it.
fn is_trusted(metadata: &fs::Metadata) -> bool {
    let owner = metadata.uid();
    (owner == rustix::process::geteuid().as_raw() || owner == 0) && metadata.mode() & 0o022 == 0
}

/// Treats a file that another process has removed as removed.
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
    fn a_file_that_others_may_write_is_not_loaded() {
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
    fn one_compilation_runs_at_a_time_and_a_stalled_one_is_passed() {
        let cache = tempfile::tempdir().unwrap();
        let directory = CompiledDirectory::open(cache.path()).unwrap();
        let first = directory.turn(Duration::from_secs(60)).unwrap();
        assert!(directory.turn(Duration::from_millis(50)).is_none());
        drop(first);
        assert!(directory.turn(Duration::from_secs(60)).is_some());
    }

    #[test]
    fn an_abandoned_file_is_removed() {
        let cache = tempfile::tempdir().unwrap();
        let directory = CompiledDirectory::open(cache.path()).unwrap();
        let part = directory.part("a");
        write(part.path(), b"half").unwrap();
        drop(part);
        assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 0);
    }
}
