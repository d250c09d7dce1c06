//! Why a call of a plugin failed.

use std::any::Any;
use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use gtm_text::sanitize::size_in_memory;
use humantime::format_duration;
use wasmtime::component::ResourceTableError;
use wasmtime::{PoolConcurrencyLimitError, Trap};

use super::budget::MAX_RESOURCES;
use super::remedy::PluginRemedy;
use super::state::InstanceState;

/// Why a call of a plugin failed. Its instance was dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It ran, or waited, too long.
    #[error("{call} took longer than {} and was stopped{}", format_duration(*limit), raise(&[timeout(call)]))]
    TimedOut {
        /// The function: `filter`, `handle`, …
        call: &'static str,
        /// Its time limit.
        limit: Duration,
    },
    /// It asked for more memory than its limit.
    #[error("{call} needs more memory than its limit of {}, or too large a table{}", size_in_memory(*limit), raise(&["memory"]))]
    OutOfMemory {
        /// The function: `filter`, `handle`, …
        call: &'static str,
        /// The limit, in bytes.
        limit: usize,
    },
    /// It passed more to the host than the host keeps for an instance.
    #[error(
        "{call} passed more to the host than is left of the {} that the host keeps for an instance at a time{}",
        size_in_memory(*limit),
        raise(&["host_memory"])
    )]
    OutOfHostMemory {
        /// The function: `filter`, `handle`, …
        call: &'static str,
        /// The limit, in bytes.
        limit: usize,
    },
    /// It panicked, or did something that WebAssembly does not allow.
    #[error("{call} trapped: {reason}")]
    Trapped {
        /// The function: `filter`, `handle`, …
        call: &'static str,
        /// The message of the panic, or else the kind of trap.
        reason: String,
    },
    /// All places for instances are taken. It is not a failure of the plugin: the instance is made when a place is free.
    #[error("{call} waits for a place: all places for instances of plugins are taken")]
    Busy {
        /// The function: `filter`, `handle`, …
        call: &'static str,
    },
    /// The host panicked while it served the call.
    #[error(
        "{call} ended because of a defect of the host, not of the plugin: {reason}. help: report it with this line and the \
         lines before it"
    )]
    Defect {
        /// The function: `filter`, `handle`, …
        call: &'static str,
        /// The message of the panic.
        reason: String,
    },
    /// A filter in the chain of the plugin failed.
    #[error("the filter {filter} failed: {error}")]
    InFilter {
        /// The name of the filter.
        filter: Arc<str>,
        /// The error of its call.
        error: Box<Self>,
    },
}

/// The message of wasmtime for arguments over the limit. Its error has no public type.
const ARGUMENTS_TOO_LARGE: &str = "fuel allocated for hostcalls has been exhausted";

/// Returns the limit of the time of a call.
fn timeout(call: &str) -> &'static str {
    if call.starts_with("handle") || call == "tick" { "handle_timeout" } else { "filter_timeout" }
}

fn raise<'a>(limits: &'a [&'static str]) -> PluginRemedy<'a> {
    PluginRemedy::Limits { component: None, limits }
}

impl CallError {
    /// Returns the error of a plugin in whose chain this is the error of a filter.
    pub(super) fn in_filter(self, filter: &str) -> Self {
        Self::InFilter { filter: filter.into(), error: Box::new(self) }
    }

    /// Converts the error of a call. `time` is its time limit.
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
        if error.root_cause().to_string().contains(ARGUMENTS_TOO_LARGE) {
            return Self::OutOfHostMemory { call, limit: state.call.budget.limit() };
        }
        let printed = one_line(&state.output.take());
        let reason = match error.downcast_ref::<Trap>() {
            // A panic ends in this trap; its message says more.
            Some(Trap::UnreachableCodeReached) if !printed.is_empty() => printed,
            _ if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) => format!(
                "it holds {MAX_RESOURCES} streams, requests and files of the host, the maximum. help: drop those that it does not need"
            ),
            _ if printed.is_empty() => one_line(&error.root_cause().to_string()),
            _ => format!("{} ({printed})", error.root_cause()),
        };
        Self::Trapped { call, reason }
    }
}

/// Turns a panic of the host into the failure of this call alone, so that the caller continues with the next call. Whatever the panic
/// left incomplete belongs to this call, whose instance is dropped.
pub(super) async fn guarded<T>(
    call: &'static str,
    answer: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    let answer = AssertUnwindSafe(answer).catch_unwind().await;
    answer.unwrap_or_else(|panic| Err(defect(call, &*panic)))
}

/// Does the same for a synchronous call.
pub(super) fn guarded_now<T>(
    call: &'static str,
    answer: impl FnOnce() -> Result<T, CallError>,
) -> Result<T, CallError> {
    std::panic::catch_unwind(AssertUnwindSafe(answer)).unwrap_or_else(|panic| Err(defect(call, &*panic)))
}

fn defect(call: &'static str, panic: &(dyn Any + Send)) -> CallError {
    let words = panic.downcast_ref::<&str>().copied();
    let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    CallError::Defect { call, reason: one_line(words.unwrap_or("it has no message")) }
}

/// Joins lines, such as those of a panic, without the notes that Rust adds to them.
pub(super) fn one_line(printed: &str) -> String {
    let mut joined = String::new();
    let lines = printed.lines().map(str::trim);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with("note: ")) {
        if !joined.is_empty() {
            joined.push(' ');
        }
        let more = cut(line);
        if joined.len() + more.len() > MAX_MESSAGE_BYTES + CUT_NOTE_BYTES {
            return format!("{joined}… ({} bytes more)", printed.len().saturating_sub(joined.len()));
        }
        joined.push_str(&more);
    }
    joined
}

/// The most bytes that [`cut`] adds to a text.
const CUT_NOTE_BYTES: usize = 64;

/// The longest text of a plugin that the host repeats, in bytes.
const MAX_MESSAGE_BYTES: usize = 16 * 1024;

/// Returns the text, cut at [`MAX_MESSAGE_BYTES`].
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
    fn a_long_text_is_cut_between_characters() {
        let text = "ä".repeat(MAX_MESSAGE_BYTES);
        let cut = cut(&text);
        assert!(cut.len() < MAX_MESSAGE_BYTES + 40);
        assert!(cut.ends_with("ä … (16384 bytes more)"));
        assert_eq!(super::cut("short"), "short");
    }

    #[test]
    fn an_error_names_the_limit_that_was_exceeded() {
        let late = CallError::TimedOut { call: "handle-batch", limit: Duration::from_secs(30) };
        assert_eq!(late.to_string(), "handle-batch took longer than 30s and was stopped");
        assert_eq!((timeout("handle-batch"), timeout("filter")), ("handle_timeout", "filter_timeout"));
        assert_eq!(timeout("tick"), "handle_timeout");
        for (limit, words) in [(32 << 20, "32 MiB"), (64 << 10, "64 KiB")] {
            let full = CallError::OutOfMemory { call: "handle", limit }.to_string();
            assert!(full.contains(&format!("its limit of {words},")), "{full}");
        }
    }

    #[test]
    fn many_lines_are_joined_into_one() {
        assert_eq!(one_line("panicked:\n  boom\n\nnote: run with …"), "panicked: boom");
    }
}
