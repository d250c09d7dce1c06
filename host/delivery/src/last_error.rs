//! The last error of a plugin, as its status shows it until a later success shows that it is over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// The last error of a plugin.
#[derive(Debug, Default)]
pub(super) struct LastError {
    state: Mutex<LastErrorState>,
    /// Whether there is an error, so that an op that succeeds need not take the lock.
    is_set: AtomicBool,
}

#[derive(Debug, Default)]
struct LastErrorState {
    error: Option<(String, ErrorSubject)>,
    /// When the last error occurred. It stays after that error is over.
    at: Option<SystemTime>,
}

/// The subject of an error, which decides when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorSubject {
    /// The op with this number. The error is over when the op is handled, or when another is handled after this one was given up.
    Op(u64),
    /// A tick. The error is over when a tick is handled.
    Tick,
    /// Several ops that were passed in one call. The error is over when an op is handled.
    Batch,
    /// The checkpoint. The error is over when a checkpoint is stored.
    Checkpoint,
}

impl ErrorSubject {
    /// Returns the subject of an error of the op with this number. None: it is a tick.
    pub(super) fn of(number: Option<u64>) -> Self {
        number.map_or(Self::Tick, Self::Op)
    }
}

impl LastError {
    /// Records an error.
    pub(super) fn set(&self, subject: ErrorSubject, message: &str) {
        let mut state = self.state.lock();
        state.error = Some((message.to_owned(), subject));
        state.at = Some(SystemTime::now());
        self.is_set.store(true, Ordering::Release);
    }

    /// Forgets an error that is over since this op was handled. `is_done` returns whether an op is done.
    pub(super) fn op_handled(&self, number: u64, is_done: impl FnOnce(u64) -> bool) {
        if self.is_set.load(Ordering::Acquire) {
            self.forget_if(|subject| match subject {
                ErrorSubject::Op(failed) => failed == number || is_done(failed),
                ErrorSubject::Batch => true,
                ErrorSubject::Tick | ErrorSubject::Checkpoint => false,
            });
        }
    }

    /// Forgets an error of a tick, as one was handled.
    pub(super) fn tick_handled(&self) {
        self.forget_if(|subject| subject == ErrorSubject::Tick);
    }

    /// Forgets an error of the checkpoint, which was stored.
    pub(super) fn checkpoint_stored(&self) {
        self.forget_if(|subject| subject == ErrorSubject::Checkpoint);
    }

    /// Forgets errors of ops, as their numbers start again.
    pub(super) fn restart(&self) {
        self.forget_if(|subject| matches!(subject, ErrorSubject::Op(_) | ErrorSubject::Batch));
    }

    fn forget_if(&self, is_over: impl FnOnce(ErrorSubject) -> bool) {
        let mut state = self.state.lock();
        if state.error.take_if(|(_, subject)| is_over(*subject)).is_some() {
            self.is_set.store(false, Ordering::Release);
        }
    }

    /// Returns the error that is not over yet.
    pub(super) fn message(&self) -> Option<String> {
        self.state.lock().error.as_ref().map(|(message, _)| message.clone())
    }

    /// Returns the time of the last error, in seconds since 1970, whether or not it is over.
    pub(super) fn seconds(&self) -> Option<u64> {
        self.state.lock().at.and_then(seconds)
    }
}

/// Returns the time in seconds since 1970. None: it is earlier.
pub(super) fn seconds(at: SystemTime) -> Option<u64> {
    at.duration_since(UNIX_EPOCH).ok().map(|at| at.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_an_op_is_over_when_it_is_handled_or_another_after_it_was_given_up() {
        let last = LastError::default();
        last.set(ErrorSubject::Op(1), "no route");
        last.op_handled(2, |_| false);
        assert_eq!(last.message().as_deref(), Some("no route"), "another op was handled");
        last.op_handled(1, |_| false);
        assert_eq!(last.message(), None);
        last.set(ErrorSubject::Op(3), "no route");
        last.op_handled(4, |failed| failed == 3);
        assert_eq!(last.message(), None, "it was given up");
        assert!(last.seconds().is_some());
    }

    #[test]
    fn an_error_of_the_checkpoint_is_over_when_one_is_stored() {
        let last = LastError::default();
        last.set(ErrorSubject::Checkpoint, "no space");
        last.op_handled(1, |_| true);
        last.restart();
        assert_eq!(last.message().as_deref(), Some("no space"));
        last.checkpoint_stored();
        assert_eq!(last.message(), None);
        last.set(ErrorSubject::Batch, "trapped");
        last.checkpoint_stored();
        last.restart();
        assert_eq!(last.message(), None, "numbers start again");
    }
}
