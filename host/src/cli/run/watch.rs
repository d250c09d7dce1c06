//! Sees when files of plugins change.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A file that is the same at so many looks in a row is not being written any more.
const QUIET_LOOKS: u32 = 5;
/// Between two looks.
pub(super) const LOOK: Duration = Duration::from_millis(50);
/// One that changes all the time is taken as it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// Watches directories, as the files in them may be replaced.
pub(super) struct FileWatch {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    changes: mpsc::Receiver<()>,
}

/// What tells one state of a file from another, without reading it. None: it is not there.
pub(super) type Signature = Option<(u64, Option<SystemTime>, u64)>;

/// As the file is now; of a link, what it leads to.
pub(super) fn signature(path: &Path) -> Signature {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::metadata(path).ok()?;
    Some((file.len(), file.modified().ok(), file.ino()))
}

impl FileWatch {
    /// Watches nothing, yet; where it is not `on`, nothing at all.
    pub(super) fn new(on: bool) -> Self {
        // One that waits says all there is to say.
        let (sender, changes) = mpsc::channel(1);
        let seen = move |event: notify::Result<notify::Event>| {
            // To open a file and to read it are events, too.
            if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
                let _ = sender.try_send(());
            }
        };
        let watcher = on.then(|| notify::recommended_watcher(seen));
        let watcher = watcher
            .and_then(|watcher| watcher.inspect_err(|error| say(Path::new("any directory"), error)).ok());
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
            // One that does not exist any more is not watched either.
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
                Err(error) => say(&directory, &error),
            }
        }
        self.watched = watched;
    }

    /// Waits until something has changed in these directories.
    pub(super) async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

/// Waits until what `look` returns stays the same for a while, and returns it.
pub(super) async fn settled<T: PartialEq>(look: impl Fn() -> T) -> T {
    let deadline = Instant::now() + PATIENCE;
    let (mut last, mut same) = (look(), 0);
    while same < QUIET_LOOKS && Instant::now() < deadline {
        tokio::time::sleep(LOOK).await;
        let now = look();
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    last
}

fn say(directory: &Path, error: &notify::Error) {
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
    async fn what_is_still_written_is_waited_for() {
        // A file that grows at each look, up to 20, with a pause in between that is shorter than what counts as quiet.
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
        assert_eq!(looks.get(), 20 + QUIET_LOOKS);
    }
}
