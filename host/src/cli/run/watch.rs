//! Detects changes of plugin files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The number of polls in a row without a change after which a file counts as completely written.
const STABLE_POLLS: u32 = 5;
/// The interval between two polls of a file.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The time after which a file that keeps changing is loaded as it is.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Watches the directories of files, since a file may be replaced instead of written.
pub(super) struct FileWatch {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    changes: mpsc::Receiver<()>,
}

/// Distinguishes the states of a file without reading it: length, time of modification and inode. None: the file does not exist.
pub(super) type FileSignature = Option<(u64, Option<SystemTime>, u64)>;

/// Returns the signature of a file now. It follows links.
pub(super) fn signature(path: &Path) -> FileSignature {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::metadata(path).ok()?;
    Some((file.len(), file.modified().ok(), file.ino()))
}

impl FileWatch {
    /// Makes a watch without directories. If it is not `on`, it never reports a change.
    pub(super) fn new(on: bool) -> Self {
        // One message in the channel stands for any number of changes.
        let (sender, changes) = mpsc::channel(1);
        let seen = move |event: notify::Result<notify::Event>| {
            // Opening and reading a file are events, too.
            if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
                let _ = sender.try_send(());
            }
        };
        let watcher = on.then(|| notify::recommended_watcher(seen));
        let watcher = watcher.and_then(|watcher| {
            watcher.inspect_err(|error| warn_unwatched(Path::new("any directory"), error)).ok()
        });
        Self { watcher, watched: BTreeSet::new(), changes }
    }

    /// Watches the directories of these files, and these directories.
    pub(super) fn watch<'a>(
        &mut self,
        files: impl IntoIterator<Item = &'a Path>,
        directories: impl IntoIterator<Item = &'a Path>,
    ) {
        let Some(watcher) = &mut self.watcher else { return };
        let parents = files.into_iter().map(|file| match file.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        });
        let wanted: BTreeSet<_> = parents.chain(directories.into_iter().map(Path::to_owned)).collect();
        for gone in self.watched.difference(&wanted) {
            // It fails if the directory no longer exists.
            let _ = watcher.unwatch(gone);
        }
        let mut watched = BTreeSet::new();
        for directory in wanted {
            if self.watched.contains(&directory) {
                watched.insert(directory);
                continue;
            }
            match watcher.watch(&directory, RecursiveMode::NonRecursive) {
                Ok(()) => drop(watched.insert(directory)),
                Err(error) => warn_unwatched(&directory, &error),
            }
        }
        self.watched = watched;
    }

    /// Waits until something changes in these directories.
    pub(super) async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

/// Polls `look` until its result stays the same for [`STABLE_POLLS`], and returns that.
pub(super) async fn settled<T: PartialEq>(look: impl Fn() -> T) -> T {
    let deadline = Instant::now() + SETTLE_TIMEOUT;
    let (mut last, mut same) = (look(), 0);
    while same < STABLE_POLLS && Instant::now() < deadline {
        tokio::time::sleep(POLL_INTERVAL).await;
        let now = look();
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    last
}

fn warn_unwatched(directory: &Path, error: &notify::Error) {
    tracing::warn!(
        event = "plugin.watch_failed", path = %directory.display(), %error,
        help = "after a change, run gtm-host swap",
        "the host will not notice changes of the plugins in a directory"
    );
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn a_file_that_is_still_written_is_awaited() {
        // A file that grows at each poll, up to 20, with a pause that is too short to count as stable.
        let looks = Cell::new(0_u32);
        let grown = settled(|| {
            looks.set(looks.get() + 1);
            match looks.get() {
                look @ 0..10 => look,
                10..14 => 10,
                look => look.min(20),
            }
        });
        assert_eq!(grown.await, 20);
        assert_eq!(looks.get(), 20 + STABLE_POLLS);
    }
}
