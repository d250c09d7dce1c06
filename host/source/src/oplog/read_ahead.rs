//! Reads the next reply of a cursor while the last one is processed.

use futures_util::StreamExt;
use gtm_mongo::wire::reply;
use gtm_oplog::Reply;
use mongodb::raw_batch_cursor::RawBatchCursor;
use tokio_util::task::AbortOnDropHandle;

use super::batch_size::MOST_BYTES;

/// The minimum size of a reply after which the next one is read ahead, in bytes: it shows a backlog. After a smaller reply,
/// another task would only take time (some 20 µs). After a reply that is too large, another cursor is opened, or two replies
/// would take much memory.
const MIN_BACKLOG: usize = 128 * 1024;

/// The next reply of a cursor. None: the server has closed it.
type CursorRead = mongodb::error::Result<Option<Reply>>;

/// A cursor that is read ahead by one reply.
pub(super) struct ReadAhead(ReadAheadState);

enum ReadAheadState {
    Here(Box<RawBatchCursor>),
    Ahead(AbortOnDropHandle<(Box<RawBatchCursor>, CursorRead)>),
    /// The cursor failed or was closed, or a read of it was dropped.
    Gone,
}

impl ReadAhead {
    pub(super) fn new(cursor: RawBatchCursor) -> Self {
        Self(ReadAheadState::Here(Box::new(cursor)))
    }

    /// Returns the next reply. None: the server has closed the cursor. The future can be dropped: nothing is lost.
    ///
    /// # Errors
    /// The read failed. The cursor must not be used again.
    pub(super) async fn next(&mut self) -> CursorRead {
        let (cursor, read) = match &mut self.0 {
            ReadAheadState::Here(cursor) => {
                let read = read(cursor).await;
                match std::mem::replace(&mut self.0, ReadAheadState::Gone) {
                    ReadAheadState::Here(cursor) => (cursor, read),
                    ReadAheadState::Ahead(_) | ReadAheadState::Gone => return read,
                }
            }
            ReadAheadState::Ahead(task) => {
                let joined = task.await;
                self.0 = ReadAheadState::Gone;
                joined.map_err(mongodb::error::Error::custom)?
            }
            ReadAheadState::Gone => return Ok(None),
        };
        self.0 = match &read {
            Ok(Some(reply)) if (MIN_BACKLOG..=MOST_BYTES).contains(&reply.size()) => {
                ReadAheadState::Ahead(ahead(cursor))
            }
            Ok(Some(_)) => ReadAheadState::Here(cursor),
            Ok(None) | Err(_) => ReadAheadState::Gone,
        };
        read
    }
}

fn ahead(mut cursor: Box<RawBatchCursor>) -> AbortOnDropHandle<(Box<RawBatchCursor>, CursorRead)> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let read = read(&mut cursor).await;
        (cursor, read)
    }))
}

async fn read(cursor: &mut RawBatchCursor) -> CursorRead {
    Ok(cursor.next().await.transpose()?.map(reply))
}
