//! Which reader brings a plugin its ops, and how far the plugin lags behind the source.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gtm_mongo::SourceHealth;
use gtm_oplog::Timestamp;
use parking_lot::Mutex;

use super::status::ReaderState;

/// The time after which a read that found nothing does not prove any more that a plugin has caught up. Reads of an idle source
/// end each second.
const CAUGHT_UP_TIMEOUT: Duration = Duration::from_secs(3);

/// The reading for one plugin.
#[derive(Debug)]
pub(super) struct ReaderProgress(Mutex<ReaderProgressState>);

#[derive(Debug)]
struct ReaderProgressState {
    reader: ReaderState,
    /// When the last read found nothing more. None: it found that there is more, or nothing is read for the plugin.
    caught_up_at: Option<Instant>,
    /// The newest change of the source that was known then.
    caught_up_to: Option<Timestamp>,
}

impl Default for ReaderProgress {
    fn default() -> Self {
        Self(Mutex::new(ReaderProgressState {
            reader: ReaderState::None,
            caught_up_at: None,
            caught_up_to: None,
        }))
    }
}

impl ReaderProgress {
    /// Records which reader brings the plugin its ops from now on.
    pub(super) fn set_reader(&self, reader: ReaderState) {
        let mut state = self.0.lock();
        (state.reader, state.caught_up_at) = (reader, None);
    }

    /// Records whether the last read reached the end of the source. `newest`: the newest change of the source that was known then.
    pub(super) fn set_caught_up(&self, is_caught_up: bool, newest: Option<Timestamp>) {
        let mut state = self.0.lock();
        state.caught_up_at = is_caught_up.then(Instant::now);
        if is_caught_up {
            state.caught_up_to = state.caught_up_to.max(newest);
        }
    }

    /// Forgets what was read, as the plugin reads from another position.
    pub(super) fn restart(&self) {
        let mut state = self.0.lock();
        (state.caught_up_at, state.caught_up_to) = (None, None);
    }

    /// Returns which reader brings the plugin its ops.
    pub(super) fn reader(&self) -> ReaderState {
        self.0.lock().reader
    }

    /// Returns the lag behind the source, in seconds: the age of the first change that is not done. `oldest`: the time of the first op
    /// that was received and is not done. `done`: the time up to which everything is done. None: nothing is known yet.
    pub(super) fn lag(
        &self,
        oldest: Option<Timestamp>,
        done: Option<Timestamp>,
        source: &SourceHealth,
    ) -> Option<f64> {
        let state = self.0.lock();
        let newest = source.newest();
        let is_caught_up = state.caught_up_at.is_some_and(|at| at.elapsed() < CAUGHT_UP_TIMEOUT);
        let lag = match oldest {
            Some(oldest) => age(oldest, newest),
            None if is_caught_up => Some(0.0),
            None => match (done.max(state.caught_up_to), newest) {
                (Some(done), Some(newest)) if done >= newest => Some(0.0),
                // The change after it may have been made in the same moment.
                (Some(done), _) => age(done, newest),
                (None, _) => None,
            },
        };
        // The source may have newer changes while it does not answer.
        let away = source.unavailable_for().map(|away| away.as_secs_f64());
        lag.map(|lag| lag.max(away.unwrap_or_default()))
    }
}

/// Returns the age of a change, in seconds: by this machine's clock, or by a newer change of the source if that clock is behind.
fn age(timestamp: Timestamp, newest: Option<Timestamp>) -> Option<f64> {
    let since = |now: Duration| now.saturating_sub(Duration::from_secs(timestamp.time.into())).as_secs_f64();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let newest = newest.map(|newest| since(Duration::from_secs(newest.time.into())));
    Some(since(now).max(newest.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u32 = 1_700_000_100;

    fn at(time: u32) -> Timestamp {
        Timestamp { time, increment: 1 }
    }

    /// The lag of a plugin that has done everything before this time, and has queued ops from `oldest` on.
    fn lag(
        progress: &ReaderProgress,
        oldest: Option<u32>,
        done: Option<u32>,
        source: &SourceHealth,
    ) -> Option<f64> {
        progress.lag(oldest.map(at), done.map(at), source)
    }

    #[test]
    fn a_plugin_at_the_newest_change_does_not_lag_whether_or_not_it_is_read_for() {
        let (progress, source) = (ReaderProgress::default(), SourceHealth::connected(Some(at(NOW))));
        assert_eq!(lag(&progress, None, Some(NOW), &source), Some(0.0));
        progress.set_reader(ReaderState::Own);
        assert_eq!(lag(&progress, None, Some(NOW), &source), Some(0.0));
    }

    #[test]
    fn a_plugin_behind_the_newest_change_lags_although_nothing_is_queued() {
        let (progress, source) = (ReaderProgress::default(), SourceHealth::connected(Some(at(NOW))));
        for reader in [ReaderState::None, ReaderState::Own, ReaderState::Shared] {
            progress.set_reader(reader);
            // The filter wanted nothing of the last read, and there is more.
            progress.set_caught_up(false, source.newest());
            assert!(lag(&progress, None, Some(NOW - 60), &source).unwrap() >= 60.0);
        }
    }

    #[test]
    fn a_plugin_that_reached_the_end_does_not_lag_behind_changes_that_it_does_not_want() {
        let (progress, source) = (ReaderProgress::default(), SourceHealth::connected(Some(at(NOW))));
        progress.set_reader(ReaderState::Shared);
        progress.set_caught_up(true, source.newest());
        assert_eq!(lag(&progress, None, Some(NOW - 60), &source), Some(0.0));
        // It had read as far as that when it was paused.
        progress.set_reader(ReaderState::None);
        assert_eq!(lag(&progress, None, Some(NOW - 60), &source), Some(0.0));
        let later = SourceHealth::connected(Some(at(NOW + 1)));
        assert!(lag(&progress, None, Some(NOW - 60), &later).unwrap() >= 1.0);
        progress.restart();
        assert!(lag(&progress, None, Some(NOW - 60), &source).unwrap() >= 60.0);
    }

    #[test]
    fn a_plugin_with_queued_ops_lags_by_the_oldest_although_everything_was_read() {
        let (progress, source) = (ReaderProgress::default(), SourceHealth::connected(Some(at(NOW))));
        progress.set_caught_up(true, source.newest());
        assert!(lag(&progress, Some(NOW - 50), Some(NOW - 60), &source).unwrap() >= 50.0);
        assert_eq!(lag(&progress, None, Some(NOW - 50), &source), Some(0.0));
    }

    #[test]
    fn the_lag_behind_a_source_that_never_answered_is_not_known() {
        assert_eq!(lag(&ReaderProgress::default(), None, None, &SourceHealth::default()), None);
    }
}
