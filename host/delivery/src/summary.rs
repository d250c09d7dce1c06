//! What became of the ops that a plugin was given.

use std::fmt;

use gtm_oplog::{Op, OperationType};
use gtm_text::sanitize::counted;
use serde::{Deserialize, Serialize};

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

/// Counts of one plugin since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Ops that the plugin subscribed to.
    pub read: u64,
    /// Its filter did not want them.
    pub unwanted: u64,
    /// It handled them.
    pub handled: u64,
    /// It will never handle them, as it says.
    pub rejected: u64,
    /// No attempt succeeded.
    pub failed: u64,
    /// In a dry run, it failed after an answer that was made up.
    #[serde(default, skip_serializing_if = "is_none")]
    pub unknown: u64,
    /// Attempts that were made.
    #[serde(default)]
    pub attempts: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// The host was stopped before they were done.
    pub unfinished: u64,
}

impl Summary {
    /// Ops that need nothing more.
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

/// How many ops there were, by operation type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EmittedOps([u64; OperationType::ALL.len()]);

impl EmittedOps {
    /// Counts these, too.
    pub fn add(&mut self, ops: &[Op]) {
        for op in ops {
            if let Some(count) = self.0.get_mut(op.operation_type as usize) {
                *count += 1;
            }
        }
    }

    /// The name of each operation type of which there was any, and how many.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = OperationType::ALL.into_iter().map(OperationType::name).zip(self.0);
        all.filter(|(_, count)| *count > 0)
    }
}
