//! Whether the source answers, since when, and up to where it has changes.
//!
//! [`SourceHealth::watch`] asks the server each second, whether plugins read or not; readers that fail report it, too.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gtm_oplog::Timestamp;
use serde::{Deserialize, Serialize};

use crate::server_error::sentence;

/// Between two questions.
const PAUSE: Duration = Duration::from_secs(1);
/// A server that has not answered for so long is reported. It answers within milliseconds, unless it is very busy.
const LATE: Duration = Duration::from_secs(5);
/// After so long, the question is given up and asked again. The driver looks for a server for 10 seconds, and then knows why
/// there is none.
const GIVEN_UP: Duration = Duration::from_secs(30);

/// What is known of a source. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct SourceHealth {
    known: Arc<Mutex<KnownHealth>>,
    /// Why the readers of one plugin fail, by their numbers. None: readers are those that all plugins share.
    apart: Option<Arc<Mutex<BTreeMap<u64, String>>>>,
}

#[derive(Debug)]
struct KnownHealth {
    state: SourceState,
    since: (Instant, SystemTime),
    /// When the server last answered.
    answered: (Instant, SystemTime),
    newest: Option<Timestamp>,
    /// Why the server does not answer, if it does not.
    unanswered: Option<String>,
    /// Why readers fail, by their numbers.
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
    /// It has not answered yet.
    Connecting,
    /// It answers.
    Connected,
    /// It answered before, and does not now.
    Reconnecting,
}

impl SourceState {
    /// Its name, as it is serialized.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Reconnecting => "reconnecting",
        }
    }
}

/// What is known of a source, as it is seen from outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// Whether it answers.
    pub state: SourceState,
    /// Since when, in seconds since 1970: of one that does not answer any more, since its last answer.
    pub since_seconds: u64,
    /// The newest change that is known of it: a start to resume from. None: not known yet.
    pub newest: Option<String>,
    /// When that was made, in seconds since 1970.
    pub newest_seconds: Option<u32>,
    /// Why it does not answer, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

impl SourceHealth {
    /// Asks the server each second, without end. `newest` returns the newest change that the server has, or none if it has none or
    /// does not say.
    pub async fn watch<F>(&self, newest: impl Fn() -> F)
    where
        F: Future<Output = mongodb::error::Result<Option<Timestamp>>>,
    {
        loop {
            let mut asked = std::pin::pin!(newest());
            let answer = match tokio::time::timeout(LATE, &mut asked).await {
                Ok(answer) => Some(answer),
                Err(_) => {
                    self.note(|known| known.unanswered = Some(late()));
                    tokio::time::timeout(GIVEN_UP, asked).await.ok()
                }
            };
            self.note(|known| match answer {
                Some(Ok(newest)) => {
                    known.newest = known.newest.max(newest);
                    known.unanswered = None;
                    known.answered = now();
                }
                Some(Err(error)) => known.unanswered = Some(sentence(&error)),
                None => known.unanswered = Some(late()),
            });
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Returns the health of a source that answers and has this newest change.
    pub fn connected(newest: Option<Timestamp>) -> Self {
        let health = Self::default();
        health.note(|known| known.newest = newest);
        health
    }

    /// The newest change that is known of it.
    pub fn newest(&self) -> Option<Timestamp> {
        self.lock().newest
    }

    /// How long it has not answered, from its last answer on. None: it does.
    pub fn away(&self) -> Option<Duration> {
        let known = self.lock();
        (known.state != SourceState::Connected).then(|| known.since.0.elapsed())
    }

    /// As it is seen from outside.
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

    /// The same source for a plugin that reads by itself: what its readers cannot read is not the source's trouble, and not that of
    /// other plugins.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self { known: Arc::clone(&self.known), apart: Some(Arc::default()) }
    }

    /// Why a reader fails of the plugin that this is for. None: none does.
    pub fn trouble_apart(&self) -> Option<String> {
        let apart = self.apart.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        apart.values().next().cloned()
    }

    /// For a reader, which reports its failures.
    pub fn reader(&self) -> ReaderHealth {
        let mut known = self.lock();
        known.next += 1;
        ReaderHealth { health: self.clone(), number: known.next, failing: false }
    }

    /// Takes note of something, and of whether the source answers by now.
    fn note(&self, change: impl FnOnce(&mut KnownHealth)) {
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
                // It is noticed only later.
                SourceState::Reconnecting => known.answered,
                _ => now(),
            };
            if state == SourceState::Connected {
                known.answered = known.since;
            }
        }
    }

    /// Takes note of whether a reader fails, and why.
    fn note_reader(&self, number: u64, failing: Option<String>) {
        let change = |all: &mut BTreeMap<u64, String>| match failing {
            Some(reason) => drop(all.insert(number, reason)),
            None => drop(all.remove(&number)),
        };
        match &self.apart {
            Some(apart) => change(&mut apart.lock().unwrap_or_else(PoisonError::into_inner)),
            None => self.note(|known| change(&mut known.failing)),
        }
    }

    /// Takes note that a reader ended while it failed. That does not show that the source answers: it is away until it does.
    fn note_end(&self, number: u64) {
        match &self.apart {
            Some(_) => self.note_reader(number, None),
            None => self.note(|known| {
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

fn late() -> String {
    format!("the server has not answered for {} s", LATE.as_secs())
}

/// Reports whether one reader fails.
#[derive(Debug)]
pub struct ReaderHealth {
    health: SourceHealth,
    number: u64,
    failing: bool,
}

impl ReaderHealth {
    /// It cannot read now.
    pub(super) fn failed(&mut self, reason: String) {
        self.failing = true;
        self.health.note_reader(self.number, Some(reason));
    }

    /// It reads.
    pub(super) fn recovered(&mut self) {
        if std::mem::take(&mut self.failing) {
            self.health.note_reader(self.number, None);
        }
    }
}

impl Drop for ReaderHealth {
    fn drop(&mut self) {
        if self.failing {
            self.health.note_end(self.number);
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
        assert!(health.away().is_some());
        health.note(|known| known.newest = Some(Timestamp { time: 7, increment: 2 }));
        let status = health.status();
        assert_eq!((status.state, status.newest.as_deref()), (SourceState::Connected, Some("7.2")));
        assert_eq!((health.away(), status.last_error), (None, None));

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
        health.note(|known| known.unanswered = Some(late()));
        assert!(health.away().is_some_and(|away| away >= ago));
        let seconds = answered.1.duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(health.status().since_seconds, seconds);
        // One that answers again and fails again is away since then.
        health.note(|known| known.unanswered = None);
        health.note(|known| known.unanswered = Some(late()));
        assert!(health.away().is_some_and(|away| away < ago));
    }

    #[test]
    fn a_reader_that_ends_while_it_fails_does_not_show_that_the_source_answers() {
        let health = SourceHealth::connected(None);
        let mut reader = health.reader();
        reader.failed("it is gone".to_owned());
        let since = health.lock().since;
        // As where the lease is lost, and reading ends.
        drop(reader);
        assert_eq!((health.status().state, health.lock().since), (SourceState::Reconnecting, since));
        // The next reader fails, too, and the server does not answer.
        health.reader().failed("it is still gone".to_owned());
        health.note(|known| known.unanswered = Some(late()));
        assert_eq!((health.status().state, health.lock().since), (SourceState::Reconnecting, since));
        // Then it does.
        health.note(|known| known.unanswered = None);
        assert_eq!(health.away(), None);
    }

    #[test]
    fn what_one_plugin_cannot_read_by_itself_is_its_own_trouble() {
        let health = SourceHealth::connected(None);
        let (one, two) = (health.apart(), health.apart());
        let mut reader = one.reader();
        reader.failed("its cursor is gone".to_owned());
        assert_eq!((health.away(), one.away()), (None, None));
        assert_eq!(one.trouble_apart().as_deref(), Some("its cursor is gone"));
        assert_eq!((two.trouble_apart(), health.trouble_apart()), (None, None));
        drop(reader);
        assert_eq!(one.trouble_apart(), None);
        // The source itself is that of all.
        health.note(|known| known.unanswered = Some(late()));
        assert!(one.away().is_some());
    }
}
