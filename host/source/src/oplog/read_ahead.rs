//! Replies of a cursor, of which the next is on its way while one is worked on.

use futures_util::StreamExt;
use gtm_mongo::wire::reply;
use gtm_oplog::Reply;
use mongodb::raw_batch_cursor::RawBatchCursor;
use tokio_util::task::AbortOnDropHandle;

use super::batch_size::MOST_BYTES;

/// After a reply of at least so many bytes there is a backlog, and the next one is asked for at once. After a smaller one it would be
/// waited for anyway, and the way by another task only takes time (some 20 µs). After one that is too large, another cursor is opened,
/// or its entries are such that two replies would take much memory.
const BACKLOG: usize = 128 * 1024;

/// What the cursor gives next. None: the server has closed it.
type CursorRead = mongodb::error::Result<Option<Reply>>;

/// A cursor that is read ahead, by one reply.
pub(super) struct ReadAhead(ReadAheadState);

enum ReadAheadState {
    Here(Box<RawBatchCursor>),
    Ahead(AbortOnDropHandle<(Box<RawBatchCursor>, CursorRead)>),
    /// It failed, was closed, or was given up in the middle of a reply.
    Gone,
}

impl ReadAhead {
    pub(super) fn new(cursor: RawBatchCursor) -> Self {
        Self(ReadAheadState::Here(Box::new(cursor)))
    }

    /// The next reply. None: the server has closed the cursor. This can be cancelled: nothing is lost.
    ///
    /// # Errors
    /// The cursor is of no more use.
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
            Ok(Some(reply)) if (BACKLOG..=MOST_BYTES).contains(&reply.size()) => {
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
