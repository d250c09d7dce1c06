//! What the timers of a plugin do, as its status shows it.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::op_progress::OpOutcome;
use super::status::{TickOutcome, TimerStatus};

/// The progress of a plugin's timers, by name.
#[derive(Debug, Default)]
pub(super) struct TimersProgress(Mutex<BTreeMap<String, TimerStatus>>);

impl TimersProgress {
    /// Records the schedule of a timer, and the next tick.
    pub(super) fn next(&self, timer: &str, schedule: &str, next: Option<u32>) {
        let mut timers = self.0.lock();
        let status = timers.entry(timer.to_owned()).or_insert_with(|| TimerStatus {
            timer: timer.to_owned(),
            schedule: String::new(),
            next_seconds: None,
            last_seconds: None,
            last_outcome: None,
            handled: 0,
            rejected: 0,
            failed: 0,
        });
        (status.schedule, status.next_seconds) = (schedule.to_owned(), next);
    }

    /// Records that a tick is done.
    pub(super) fn done(&self, timer: &str, at: u32, outcome: TickOutcome) {
        if let Some(status) = self.0.lock().get_mut(timer) {
            (status.last_seconds, status.last_outcome) = (Some(at), Some(outcome));
            match outcome {
                TickOutcome::Handled => status.handled += 1,
                TickOutcome::Rejected => status.rejected += 1,
                TickOutcome::Failed => status.failed += 1,
                TickOutcome::Unknown => {}
            }
        }
    }

    /// Records that this host no longer has a timer.
    pub(super) fn remove(&self, timer: &str) {
        self.0.lock().remove(timer);
    }

    /// Returns the timers, sorted by name.
    pub(super) fn status(&self) -> Vec<TimerStatus> {
        self.0.lock().values().cloned().collect()
    }
}

impl From<OpOutcome> for TickOutcome {
    fn from(outcome: OpOutcome) -> Self {
        match outcome {
            OpOutcome::Handled => Self::Handled,
            OpOutcome::Rejected => Self::Rejected,
            OpOutcome::Failed => Self::Failed,
            // No filter is asked about a tick.
            OpOutcome::Unwanted | OpOutcome::Unknown => Self::Unknown,
        }
    }
}
