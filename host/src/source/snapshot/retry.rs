//! Which reads are tried again, and until when.

use mongodb::error::{Error, Result};

use crate::source::patience::Patience;
use crate::source::server_error::{command_code, is_transient};
use crate::source::wire::timed;

/// The cursor is lost, not the documents: CursorNotFound, CappedPositionLost, CursorKilled.
const LOST: [i32; 3] = [43, 136, 237];

/// Whether the same read, from where it was, may work a little later.
pub(super) fn may_pass(error: &Error) -> bool {
    is_transient(error) || command_code(error).is_some_and(|code| LOST.contains(&code))
}

/// Asks until there is an answer, or one that no second try mends. `what` is said to have failed.
pub(super) async fn patiently<T, F>(what: &str, ask: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut patience = Patience::default();
    loop {
        match timed(ask()).await {
            Err(error) if may_pass(&error) => patience.pause(what, &error).await,
            answer => return answer,
        }
    }
}
