//! What the sources need of the driver.

use std::time::Duration;

use bytes::Bytes;
use mongodb::raw_batch_cursor::RawBatch;

use super::reply::Reply;

/// A read that takes longer than this is given up. The server answers after its longest await, a second, at the
/// latest; the rest is for a slow network and 16 MB of reply.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the server holds a read that finds nothing: the rhythm of an idle stream.
pub(crate) const AWAIT: Duration = Duration::from_secs(1);

/// The driver has no time-out of its own, so that a connection which died without a word would be waited
/// on for ever.
pub(crate) async fn timed<T>(
    work: impl Future<Output = mongodb::error::Result<T>>,
) -> mongodb::error::Result<T> {
    timed_for(READ_TIMEOUT, work).await
}

/// The same, with another time.
pub(crate) async fn timed_for<T>(
    limit: Duration,
    work: impl Future<Output = mongodb::error::Result<T>>,
) -> mongodb::error::Result<T> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}

/// The reply that a batch is, without copying it.
pub(crate) fn reply(batch: RawBatch) -> Reply {
    struct Owner(RawBatch);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            self.0.as_raw_document().as_bytes()
        }
    }
    Reply::new(Bytes::from_owner(Owner(batch)))
}
