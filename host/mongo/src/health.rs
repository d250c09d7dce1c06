//! Tracks whether the source answers, since when, and which change is its newest.
//!
//! [`SourceHealth::watch`] asks the server every second, whether or not plugins read. Readers that fail report it, too.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gtm_oplog::Timestamp;
use serde::{Deserialize, Serialize};

use crate::server_error::sentence;

/// The interval between two requests.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The time without an answer after which the source is reported as unavailable. A server answers within milliseconds
/// unless it is very busy.
const UNANSWERED_TIMEOUT: Duration = Duration::from_secs(5);
/// The time after which a request is abandoned and sent again. The driver searches for a server for 10 seconds and then
/// knows why there is none.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The health of a source. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct SourceHealth {
    known: Arc<Mutex<KnownHealth>>,
    /// The failures of one plugin's own readers, by reader number. None: the readers are those that all plugins share.
    plugin_failures: Option<Arc<Mutex<BTreeMap<u64, String>>>>,
}

#[derive(Debug)]
struct KnownHealth {
    state: SourceState,
    since: (Instant, SystemTime),
    /// The time of the server's last answer.
    answered: (Instant, SystemTime),
    newest: Option<Timestamp>,
    /// The reason why the server does not answer, if it does not.
    unanswered: Option<String>,
    /// The failures of readers, by reader number.
    failing: BTreeMap<u64, String>,
    /// The number of the next reader.
    next: u64,
}

impl Default for KnownHealth {
    fn default() -> Self {
        Self {
            state: SourceState::Connecting,
            since: now(),
            answered: now(),
            newest: None,
            unanswered: None,
            failing: BTreeMap::new(),
            next: 0,
        }
    }
}

/// Whether a source answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceState {
    /// The source has not answered yet.
    Connecting,
    /// The source answers.
    Connected,
    /// The source answered before, and does not answer now.
    Reconnecting,
}

impl SourceState {
    /// Returns the name of the state, as it is serialized.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Reconnecting => "reconnecting",
        }
    }
}

/// The health of a source as the admin API shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// Whether the source answers.
    pub state: SourceState,
    /// The start of the state, in seconds since 1970. For a source that stopped answering, it is the time of its last
    /// answer.
    pub since_seconds: u64,
    /// The newest known change, written as a start to resume from. None: not known yet.
    pub newest: Option<String>,
    /// The time of the newest known change, in seconds since 1970.
    pub newest_seconds: Option<u32>,
    /// The reason why the source does not answer, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

impl SourceHealth {
    /// Asks the server every second, forever. `newest` returns the newest change that the server has, or none if the
    /// server has none or does not say.
    pub async fn watch<F>(&self, newest: impl Fn() -> F)
    where
        F: Future<Output = mongodb::error::Result<Option<Timestamp>>>,
    {
        loop {
            let mut asked = std::pin::pin!(newest());
            let answer = match tokio::time::timeout(UNANSWERED_TIMEOUT, &mut asked).await {
                Ok(answer) => Some(answer),
                Err(_) => {
                    self.update(|known| known.unanswered = Some(no_answer()));
                    tokio::time::timeout(REQUEST_TIMEOUT, asked).await.ok()
                }
            };
            self.update(|known| match answer {
                Some(Ok(newest)) => {
                    known.newest = known.newest.max(newest);
                    known.unanswered = None;
                    known.answered = now();
                }
                Some(Err(error)) => known.unanswered = Some(sentence(&error)),
                None => known.unanswered = Some(no_answer()),
            });
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Returns the health of a source that answers and whose newest change is `newest`.
    pub fn connected(newest: Option<Timestamp>) -> Self {
        let health = Self::default();
        health.update(|known| known.newest = newest);
        health
    }

    /// Returns the newest known change.
    pub fn newest(&self) -> Option<Timestamp> {
        self.lock().newest
    }

    /// Returns how long the source has been unavailable, measured from its last answer. None: it answers.
    pub fn unavailable_for(&self) -> Option<Duration> {
        let known = self.lock();
        (known.state != SourceState::Connected).then(|| known.since.0.elapsed())
    }

    /// Returns the health as the admin API shows it.
    pub fn status(&self) -> SourceStatus {
        let known = self.lock();
        SourceStatus {
            state: known.state,
            since_seconds: known.since.1.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            newest: known.newest.map(|newest| newest.to_string()),
            newest_seconds: known.newest.map(|newest| newest.time),
            last_error: known.problem().cloned(),
        }
    }

    /// Returns a view of the same source for one plugin that reads by itself. The failures of that plugin's readers
    /// count neither for the source nor for other plugins.
    #[must_use]
    pub fn for_plugin(&self) -> Self {
        Self { known: Arc::clone(&self.known), plugin_failures: Some(Arc::default()) }
    }

    /// Returns why a reader of this view's plugin fails. None: no reader fails, or the view belongs to no plugin.
    pub fn plugin_trouble(&self) -> Option<String> {
        let plugin_failures = self.plugin_failures.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        plugin_failures.values().next().cloned()
    }

    /// Returns a handle with which a new reader reports its failures.
    pub fn reader(&self) -> ReaderHealth {
        let mut known = self.lock();
        known.next += 1;
        ReaderHealth { health: self.clone(), number: known.next, failing: false }
    }

    /// Applies a change and derives the state from the result.
    fn update(&self, change: impl FnOnce(&mut KnownHealth)) {
        let mut known = self.lock();
        change(&mut known);
        let state = match (known.problem(), known.state) {
            (None, _) => SourceState::Connected,
            (Some(_), SourceState::Connecting) => SourceState::Connecting,
            (Some(_), _) => SourceState::Reconnecting,
        };
        if state != known.state {
            known.state = state;
            known.since = match state {
                // The loss is noticed later than it happened.
                SourceState::Reconnecting => known.answered,
                _ => now(),
            };
            if state == SourceState::Connected {
                known.answered = known.since;
            }
        }
    }

    /// Records whether a reader fails, and why.
    fn update_reader(&self, number: u64, failing: Option<String>) {
        let change = |all: &mut BTreeMap<u64, String>| match failing {
            Some(reason) => drop(all.insert(number, reason)),
            None => drop(all.remove(&number)),
        };
        match &self.plugin_failures {
            Some(plugin_failures) => {
                change(&mut plugin_failures.lock().unwrap_or_else(PoisonError::into_inner))
            }
            None => self.update(|known| change(&mut known.failing)),
        }
    }

    /// Records that a reader ended while it failed. Its end does not prove that the source answers: the source stays
    /// unavailable until it does.
    fn reader_ended(&self, number: u64) {
        match &self.plugin_failures {
            Some(_) => self.update_reader(number, None),
            None => self.update(|known| {
                let reason = known.failing.remove(&number);
                known.unanswered = known.unanswered.take().or(reason);
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, KnownHealth> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KnownHealth {
    fn problem(&self) -> Option<&String> {
        self.unanswered.as_ref().or_else(|| self.failing.values().next())
    }
}

fn now() -> (Instant, SystemTime) {
    (Instant::now(), SystemTime::now())
}

fn no_answer() -> String {
    format!("the server has not answered for {} s", UNANSWERED_TIMEOUT.as_secs())
}

/// Reports whether one reader fails.
#[derive(Debug)]
pub struct ReaderHealth {
    health: SourceHealth,
    number: u64,
    failing: bool,
}

impl ReaderHealth {
    /// Records that the reader cannot read now.
    pub(super) fn failed(&mut self, reason: String) {
        self.failing = true;
        self.health.update_reader(self.number, Some(reason));
    }

    /// Records that the reader reads.
    pub(super) fn recovered(&mut self) {
        if std::mem::take(&mut self.failing) {
            self.health.update_reader(self.number, None);
        }
    }
}

impl Drop for ReaderHealth {
    fn drop(&mut self) {
        if self.failing {
            self.health.reader_ended(self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_away_while_it_does_not_answer_or_a_reader_fails() {
        let health = SourceHealth::default();
        assert_eq!(health.status().state, SourceState::Connecting);
        assert!(health.unavailable_for().is_some());
        health.update(|known| known.newest = Some(Timestamp { time: 7, increment: 2 }));
        let status = health.status();
        assert_eq!((status.state, status.newest.as_deref()), (SourceState::Connected, Some("7.2")));
        assert_eq!((health.unavailable_for(), status.last_error), (None, None));

        let (mut one, mut two) = (health.reader(), health.reader());
        one.failed("it is busy".to_owned());
        two.failed("it is gone".to_owned());
        let status = health.status();
        assert_eq!(status.state, SourceState::Reconnecting);
        assert_eq!(status.last_error.as_deref(), Some("it is busy"));
        one.recovered();
        assert_eq!(health.status().last_error.as_deref(), Some("it is gone"));
        two.recovered();
        assert_eq!((health.status().state, health.status().last_error), (SourceState::Connected, None));
    }

    #[test]
    fn a_server_is_away_since_its_last_answer_and_not_since_that_was_noticed() {
        let health = SourceHealth::connected(None);
        let ago = Duration::from_secs(60);
        let earlier = |(instant, time): (Instant, SystemTime)| {
            (instant.checked_sub(ago).unwrap(), time.checked_sub(ago).unwrap())
        };
        let answered = earlier(now());
        health.lock().answered = answered;
        health.update(|known| known.unanswered = Some(no_answer()));
        assert!(health.unavailable_for().is_some_and(|away| away >= ago));
        let seconds = answered.1.duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(health.status().since_seconds, seconds);
        // A source that answers again and fails again has been unavailable since then.
        health.update(|known| known.unanswered = None);
        health.update(|known| known.unanswered = Some(no_answer()));
        assert!(health.unavailable_for().is_some_and(|away| away < ago));
    }

    #[test]
    fn a_reader_that_ends_while_it_fails_does_not_show_that_the_source_answers() {
        let health = SourceHealth::connected(None);
        let mut reader = health.reader();
        reader.failed("it is gone".to_owned());
        let since = health.lock().since;
        // Reading ends like this when the lease is lost.
        drop(reader);
        assert_eq!((health.status().state, health.lock().since), (SourceState::Reconnecting, since));
        // The next reader fails, too, and the server does not answer.
        health.reader().failed("it is still gone".to_owned());
        health.update(|known| known.unanswered = Some(no_answer()));
        assert_eq!((health.status().state, health.lock().since), (SourceState::Reconnecting, since));
        // Then the server answers.
        health.update(|known| known.unanswered = None);
        assert_eq!(health.unavailable_for(), None);
    }

    #[test]
    fn a_failure_of_one_reader_is_reported_for_its_plugin_alone() {
        let health = SourceHealth::connected(None);
        let (one, two) = (health.for_plugin(), health.for_plugin());
        let mut reader = one.reader();
        reader.failed("its cursor is gone".to_owned());
        assert_eq!((health.unavailable_for(), one.unavailable_for()), (None, None));
        assert_eq!(one.plugin_trouble().as_deref(), Some("its cursor is gone"));
        assert_eq!((two.plugin_trouble(), health.plugin_trouble()), (None, None));
        drop(reader);
        assert_eq!(one.plugin_trouble(), None);
        // All plugins share the source itself.
        health.update(|known| known.unanswered = Some(no_answer()));
        assert!(one.unavailable_for().is_some());
    }
}
