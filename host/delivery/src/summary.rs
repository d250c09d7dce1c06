//! Counts a plugin's ops by outcome.

use std::fmt;

use gtm_oplog::{Op, OperationType};
use gtm_text::sanitize::counted;
use serde::{Deserialize, Serialize};

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The counts of one plugin since the host started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Ops that the plugin subscribed to.
    pub read: u64,
    /// Ops that its filter did not want.
    pub unwanted: u64,
    /// Ops that it handled.
    pub handled: u64,
    /// Ops that it rejected.
    pub rejected: u64,
    /// Ops for which no attempt succeeded.
    pub failed: u64,
    /// Ops that failed in a dry run after a simulated answer, so that their outcome is not known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unknown: u64,
    /// All attempts.
    #[serde(default)]
    pub attempts: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Ops that are not done.
    pub unfinished: u64,
}

impl Summary {
    /// Returns the number of ops that are done.
    pub(super) fn done(&self) -> u64 {
        self.unwanted + self.handled + self.rejected + self.failed + self.unknown
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { read, unwanted, handled, rejected, failed, unknown, retries, unfinished, .. } = self;
        let (read, retries) = (counted(*read, "op"), counted(*retries, "retry"));
        write!(
            f,
            "{read} read, {unwanted} not wanted by the filter, {handled} handled, {rejected} rejected, \
             {failed} failed, {unfinished} left unfinished; {retries}"
        )?;
        match unknown {
            0 => Ok(()),
            _ => write!(f, "; {unknown} not known, as it was a dry run"),
        }
    }
}

/// The number of ops by operation type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EmittedOps([u64; OperationType::ALL.len()]);

impl EmittedOps {
    /// Adds these ops.
    pub fn add(&mut self, ops: &[Op]) {
        for op in ops {
            if let Some(count) = self.0.get_mut(op.operation_type as usize) {
                *count += 1;
            }
        }
    }

    /// Returns the name and the number of each operation type that occurred.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = OperationType::ALL.into_iter().map(OperationType::name).zip(self.0);
        all.filter(|(_, count)| *count > 0)
    }
}
