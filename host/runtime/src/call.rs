//! Why a call of a plugin gave no answer.

use std::any::Any;
use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use gtm_text::sanitize::size_in_memory;
use humantime::format_duration;
use wasmtime::component::ResourceTableError;
use wasmtime::{PoolConcurrencyLimitError, Trap};

use super::budget::RESOURCES;
use super::state::InstanceState;

/// Why a call of a plugin gave no answer. Its instance is gone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It ran, or waited, too long.
    #[error("{call} took longer than {} and was stopped ({} sets the limit)", format_duration(*limit), timeout_flag(call))]
    TimedOut {
        /// Which: `filter`, `handle`, …
        call: &'static str,
        /// The time it had.
        limit: Duration,
    },
    /// It asked for more memory than it may have.
    #[error("{call} needs more memory than its limit of {} (--limits-memory sets it), or too large a table", size_in_memory(*limit))]
    OutOfMemory {
        /// Which: `filter`, `handle`, …
        call: &'static str,
        /// Bytes.
        limit: usize,
    },
    /// It handed more to the host than the host keeps for an instance.
    #[error(
        "{call} handed more to the host than is left of the {} that the host keeps for an instance at a time. help: hand over less per \
         call, or raise limits.host_memory in gtm.toml",
        size_in_memory(*limit)
    )]
    OutOfHostMemory {
        /// Which: `filter`, `handle`, …
        call: &'static str,
        /// Bytes.
        limit: usize,
    },
    /// It panicked, or did what WebAssembly does not allow.
    #[error("{call} trapped: {reason}")]
    Trapped {
        /// Which: `filter`, `handle`, …
        call: &'static str,
        /// What it said, or else the kind of trap.
        reason: String,
    },
    /// All places for instances are taken. This is nobody's failure: it is made when there is one.
    #[error("{call} waits for room: all places for instances of plugins are taken")]
    Busy {
        /// Which: `filter`, `handle`, …
        call: &'static str,
    },
    /// The host panicked while it served the call.
    #[error(
        "{call} ended by a defect of the host, which is not the plugin's fault: {reason}. help: report it with this line and the \
         lines before it"
    )]
    Defect {
        /// Which: `filter`, `handle`, …
        call: &'static str,
        /// What the panic said.
        reason: String,
    },
}

/// What wasmtime says of arguments that take more than they may; its error has no public type.
const MUCH_HANDED_OVER: &str = "fuel allocated for hostcalls has been exhausted";

/// Returns the flag that says how long a call may take.
fn timeout_flag(call: &str) -> &'static str {
    if call.starts_with("handle") { "--limits-handle-timeout" } else { "--limits-filter-timeout" }
}

impl CallError {
    /// Returns what the error of a call means; `time` is what the call had.
    pub(super) fn new(
        call: &'static str,
        error: &wasmtime::Error,
        state: &InstanceState,
        time: Duration,
    ) -> Self {
        let is_full =
            error.is::<PoolConcurrencyLimitError>() || error.root_cause().is::<PoolConcurrencyLimitError>();
        if is_full {
            return Self::Busy { call };
        }
        if state.quota.exceeded {
            return Self::OutOfMemory { call, limit: state.quota.limit };
        }
        if error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
            return Self::TimedOut { call, limit: time };
        }
        if error.root_cause().to_string().contains(MUCH_HANDED_OVER) {
            return Self::OutOfHostMemory { call, limit: state.call.budget.limit() };
        }
        let printed = one_line(&state.output.take());
        let reason = match error.downcast_ref::<Trap>() {
            // What a panic comes down to; its words say more.
            Some(Trap::UnreachableCodeReached) if !printed.is_empty() => printed,
            _ if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) => format!(
                "it holds {RESOURCES} streams, requests and files of the host, as many as it may. help: drop those that it does not need"
            ),
            _ if printed.is_empty() => one_line(&error.root_cause().to_string()),
            _ => format!("{} ({printed})", error.root_cause()),
        };
        Self::Trapped { call, reason }
    }
}

/// Makes a panic of the host the failure of this call alone: whoever awaits it works on with the next call. All that the panic may
/// have left half done is the call's own, as its instance is thrown away.
pub(super) async fn guarded<T>(
    call: &'static str,
    answer: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    let answer = AssertUnwindSafe(answer).catch_unwind().await;
    answer.unwrap_or_else(|panic| Err(defect(call, &*panic)))
}

/// Does the same for a call that is synchronous.
pub(super) fn guarded_now<T>(
    call: &'static str,
    answer: impl FnOnce() -> Result<T, CallError>,
) -> Result<T, CallError> {
    std::panic::catch_unwind(AssertUnwindSafe(answer)).unwrap_or_else(|panic| Err(defect(call, &*panic)))
}

fn defect(call: &'static str, panic: &(dyn Any + Send)) -> CallError {
    let words = panic.downcast_ref::<&str>().copied();
    let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    CallError::Defect { call, reason: one_line(words.unwrap_or("it said nothing")) }
}

/// Words over several lines as one: those of a panic, say, without the advice that Rust adds to them.
pub(super) fn one_line(printed: &str) -> String {
    let mut joined = String::new();
    let lines = printed.lines().map(str::trim);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with("note: ")) {
        if !joined.is_empty() {
            joined.push(' ');
        }
        let more = cut(line);
        if joined.len() + more.len() > MAX_MESSAGE_BYTES + SAID {
            return format!("{joined}… ({} bytes more)", printed.len().saturating_sub(joined.len()));
        }
        joined.push_str(&more);
    }
    joined
}

/// Bytes of what [`cut`] adds to a text, at most.
const SAID: usize = 64;

/// The longest text of a plugin that the host repeats.
const MAX_MESSAGE_BYTES: usize = 16 * 1024;

/// Returns the text up to the bound.
pub(super) fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_MESSAGE_BYTES {
        return text.into();
    }
    let end = text.floor_char_boundary(MAX_MESSAGE_BYTES);
    format!("{} … ({} bytes more)", text.get(..end).unwrap_or_default(), text.len() - end).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_letters() {
        let text = "ä".repeat(MAX_MESSAGE_BYTES);
        let cut = cut(&text);
        assert!(cut.len() < MAX_MESSAGE_BYTES + 40);
        assert!(cut.ends_with("ä … (16384 bytes more)"));
        assert_eq!(super::cut("short"), "short");
    }

    #[test]
    fn a_limit_says_where_it_is_set() {
        let late = |call| CallError::TimedOut { call, limit: Duration::from_secs(30) }.to_string();
        assert_eq!(
            late("handle-batch"),
            "handle-batch took longer than 30s and was stopped (--limits-handle-timeout sets the limit)"
        );
        assert!(late("filter").contains("--limits-filter-timeout"));
        let full = CallError::OutOfMemory { call: "handle", limit: 32 << 20 }.to_string();
        assert!(full.contains("its limit of 32 MiB (--limits-memory sets it)"), "{full}");
        let small = CallError::OutOfMemory { call: "handle", limit: 64 << 10 }.to_string();
        assert!(small.contains("its limit of 64 KiB (--limits-memory sets it)"), "{small}");
    }

    #[test]
    fn a_text_of_many_lines_cannot_look_like_many_log_lines() {
        assert_eq!(one_line("panicked:\n  boom\n\nnote: run with …"), "panicked: boom");
    }
}
