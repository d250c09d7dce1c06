//! Limits the time of reads, and takes the driver's raw replies.

use std::time::Duration;

use bytes::Bytes;
use gtm_oplog::Reply;
use mongodb::raw_batch_cursor::RawBatch;
use tokio::time::Instant;

/// The time limit of a read. The server answers after its longest await, a second, at the latest; the rest allows for a
/// slow network and 16 MB of reply.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the server holds a read that finds nothing, which is the rhythm of an idle stream.
pub const MAX_AWAIT_TIME: Duration = Duration::from_secs(1);

/// Runs an operation with a limit of 60 seconds. The driver has no such timeout, so it would wait forever on a
/// connection that died silently.
///
/// # Errors
/// The operation failed, or took longer.
pub async fn timed<T>(work: impl Future<Output = mongodb::error::Result<T>>) -> mongodb::error::Result<T> {
    timed_for(READ_TIMEOUT, work).await
}

/// Runs an operation with a time limit.
///
/// # Errors
/// The operation failed, or took longer than `limit`.
pub async fn timed_for<T>(
    limit: Duration,
    work: impl Future<Output = mongodb::error::Result<T>>,
) -> mongodb::error::Result<T> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}

/// A wait for one answer that can be interrupted and resumed.
///
/// Only the time that somebody actually waited counts: neither interruptions nor idle time between them change when the
/// wait ends.
#[derive(Debug, Default)]
pub struct Wait(Duration);

impl Wait {
    /// Waits for an answer up to `limit`, like [`timed_for`], for work that continues where it was when this future is
    /// dropped and the method is called again.
    ///
    /// # Errors
    /// The work failed, or all waits for it together took longer than `limit`.
    pub async fn timed_for<T>(
        &mut self,
        limit: Duration,
        work: impl Future<Output = mongodb::error::Result<T>>,
    ) -> mongodb::error::Result<T> {
        /// Counts until it is dropped, at the latest together with the future.
        struct CountedWait<'a>(&'a mut Duration, Instant);
        impl Drop for CountedWait<'_> {
            fn drop(&mut self) {
                *self.0 += self.1.elapsed();
            }
        }
        let left = limit.saturating_sub(self.0);
        let waiting = CountedWait(&mut self.0, Instant::now());
        let done = timed_for(left, work).await;
        drop(waiting);
        self.0 = Duration::ZERO;
        done
    }
}

/// Returns a driver's batch as a reply, without copying it.
pub fn reply(batch: RawBatch) -> Reply {
    struct Owner(RawBatch);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            self.0.as_raw_document().as_bytes()
        }
    }
    Reply::new(Bytes::from_owner(Owner(batch)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_ends_however_often_it_is_interrupted() {
        let (mut wait, limit) = (Wait::default(), Duration::from_millis(200));
        let never = || std::future::pending::<mongodb::error::Result<()>>();
        let mut interrupted = 0;
        let error = loop {
            match tokio::time::timeout(limit / 10, wait.timed_for(limit, never())).await {
                Ok(done) => break done.unwrap_err(),
                Err(_) => interrupted += 1,
            }
        };
        assert!(interrupted >= 1, "{error}");
        // The next wait has its full time.
        assert!(tokio::time::timeout(limit / 2, wait.timed_for(limit, never())).await.is_err());
    }

    #[tokio::test]
    async fn time_without_a_wait_does_not_count() {
        let (mut wait, limit) = (Wait::default(), Duration::from_millis(500));
        let never = || std::future::pending::<mongodb::error::Result<()>>();
        assert!(tokio::time::timeout(Duration::ZERO, wait.timed_for(limit, never())).await.is_err());
        tokio::time::sleep(limit * 2).await;
        let soon = async {
            tokio::task::yield_now().await;
            Ok(())
        };
        assert!(wait.timed_for(limit, soon).await.is_ok());
    }
}
