//! The spans of the log: they add the plugin, the op and the attempt to each event inside of them.
//!
//! The span of a plugin has the level of errors, so that no filter that shows an event hides its plugin. The spans of an
//! op and of an attempt have the level debug: at the default filter they cost a comparison, and nothing is formatted.

use gtm_oplog::Op;
use tracing::Span;

/// Awaits a future in a span. A disabled span costs nothing: `instrument` would move the future, which has kilobytes and is made for
/// each op.
macro_rules! in_span {
    ($span:expr, $future:expr) => {{
        let span = $span;
        if span.is_disabled() {
            $future.await
        } else {
            tracing::Instrument::instrument(Box::pin($future), span).await
        }
    }};
}
pub(super) use in_span;

/// Returns the span of all that is done for a plugin.
pub(super) fn plugin(name: &str) -> Span {
    tracing::error_span!("plugin", plugin = name)
}

/// Returns the span of an op in a lane.
pub(super) fn op(op: &Op) -> Span {
    tracing::debug_span!("op", op = %op.id())
}

/// Returns the span of an attempt. The first attempt is number 1.
pub(super) fn attempt(attempt: u32) -> Span {
    tracing::debug_span!("attempt", attempt)
}
