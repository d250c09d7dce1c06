//! A snapshot before a stream.

use mongodb::Client;

use super::{Follow, SourceError};
use crate::display::Display;
use crate::op::{Op, Timestamp};
use crate::source::oplog::Tail;
use crate::source::server_error::sentence;
use crate::source::snapshot::{Options, Snapshot, Standing};
use crate::source::wire::timed;
use crate::source::{Choice, Start};

/// A snapshot that is being taken.
pub(super) struct Taking {
    snapshot: Snapshot,
    display: Display,
}

impl Taking {
    pub(super) async fn plan(follow: &Follow, at: Timestamp) -> Result<Box<Self>, SourceError> {
        let options = Options { kept: follow.progress.clone(), ..Options::default() };
        let snapshot = Snapshot::plan(&follow.client, &mut follow.selection.clone(), at, options).await?;
        Ok(Box::new(Self { snapshot, display: Display::new("snapshot") }))
    }

    /// The ops given out before are done, and no more are wanted now.
    pub(super) async fn confirm(&mut self) -> Result<(), SourceError> {
        Ok(self.snapshot.confirm().await?)
    }

    /// The next ops. None: all was read.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Op>>, SourceError> {
        let ops = self.snapshot.next().await?;
        let progress = self.snapshot.progress();
        if ops.is_some() {
            self.display.show(progress.documents, progress.estimated, progress);
            return Ok(ops);
        }
        self.display.clear();
        if progress.refused > 0 {
            tracing::warn!("snapshot: {progress}");
        } else {
            tracing::info!("snapshot: {progress}");
        }
        Ok(ops)
    }
}

/// Looks how far a snapshot came, and sets the start of the stream to where it began. One that was begun is ended,
/// asked for or not. Gives back when it began; none: there is nothing to take.
pub(super) async fn begin(follow: &mut Follow) -> Result<Option<Timestamp>, SourceError> {
    let standing = match &follow.progress {
        Some(kept) => Snapshot::standing(kept, &follow.selection).await?,
        None => Standing::None,
    };
    let at = match (follow.snapshot, standing) {
        (_, Standing::Unfinished(at)) => {
            tracing::info!("going on with the snapshot that was begun at {at}");
            follow.snapshot = true;
            at
        }
        (true, Standing::None) => now(&follow.client, &follow.choice).await?,
        (true, Standing::Complete(at)) => {
            tracing::info!("the snapshot that was begun at {at} is complete");
            follow.snapshot = false;
            at
        }
        (false, _) => return Ok(None),
    };
    if follow.start == Start::Now {
        follow.start = Start::After(at);
    }
    Ok(follow.snapshot.then_some(at))
}

/// Returns the time of the oldest change that can be read, if changes after `start` cannot be read any more. None: they can, or only
/// the server knows it, as of a change stream.
///
/// # Errors
/// It cannot be asked.
pub async fn rolled_off(
    client: &Client,
    choice: &Choice,
    start: Timestamp,
) -> Result<Option<Timestamp>, SourceError> {
    match choice {
        Choice::Oplog(oplog) => Ok(Tail::rolled_off(client, oplog, start).await?),
        Choice::ChangeStream(_) => Ok(None),
    }
}

/// Returns the cluster time up to which the server has changes now.
///
/// # Errors
/// It cannot be asked.
pub async fn now(client: &Client, choice: &Choice) -> Result<Timestamp, SourceError> {
    if let Choice::Oplog(oplog) = choice {
        return Ok(Tail::newest(client, oplog).await?.unwrap_or_default());
    }
    let hello = client.database("admin");
    let hello = timed(async { hello.run_command(bson::doc! { "hello": 1 }).await }).await;
    let time = hello.map_err(|error| SourceError::NoTime(sentence(&error)))?;
    let time = time.get_timestamp("operationTime").map_err(|error| SourceError::NoTime(error.to_string()))?;
    Ok(time.into())
}
