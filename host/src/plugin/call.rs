//! Why a call of a plugin gave no answer.

use std::time::Duration;

use wasmtime::Trap;

use super::limits::Limits;
use super::state::State;

/// Why a call of a plugin gave no answer. Its instance is gone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It ran, or waited, too long.
    #[error("{call} took longer than {} ms and was stopped", limit.as_millis())]
    TimedOut {
        /// `filter` or `handle`.
        call: &'static str,
        /// The time it had.
        limit: Duration,
    },
    /// It asked for more memory than it may have.
    #[error("{call} needs more memory than its limit of {} MiB", limit / (1024 * 1024))]
    OutOfMemory {
        /// `filter` or `handle`.
        call: &'static str,
        /// Bytes.
        limit: usize,
    },
    /// It panicked, or did what WebAssembly does not allow.
    #[error("{call} trapped: {reason}")]
    Trapped {
        /// `filter` or `handle`.
        call: &'static str,
        /// What it said, or else the kind of trap.
        reason: String,
    },
}

impl CallError {
    pub(super) fn timed_out(call: &'static str, limits: &Limits) -> Self {
        let limit = if call == "filter" { limits.filter_timeout } else { limits.handle_timeout };
        Self::TimedOut { call, limit }
    }

    pub(super) fn new(call: &'static str, error: &wasmtime::Error, state: &State, limits: &Limits) -> Self {
        if state.quota.exceeded {
            return Self::OutOfMemory { call, limit: limits.memory };
        }
        if error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
            return Self::timed_out(call, limits);
        }
        let printed = state.output.take();
        let printed = one_line(&printed);
        let reason = match error.downcast_ref::<Trap>() {
            // What a panic comes down to; its words say more.
            Some(Trap::UnreachableCodeReached) if !printed.is_empty() => printed,
            _ if printed.is_empty() => error.root_cause().to_string(),
            _ => format!("{} ({printed})", error.root_cause()),
        };
        Self::Trapped { call, reason }
    }
}

/// Words over several lines as one: those of a panic, say, without the advice that Rust adds to them.
pub(super) fn one_line(printed: &str) -> String {
    let lines: Vec<_> = printed
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("note: "))
        .collect();
    lines.join(" ")
}
