//! Retries queries of the server.

use gtm_mongo::Backoff;
use gtm_mongo::server_error::is_retryable;
use gtm_mongo::wire::timed;
use mongodb::error::Result;

/// Runs a query until it succeeds, or fails in a way that another attempt would, too. `what` is a clause that describes the failure.
pub async fn with_retries<T, F>(what: &str, ask: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut backoff = Backoff::default();
    loop {
        match timed(ask()).await {
            Err(error) if is_retryable(&error) => backoff.pause("snapshot.read_failed", what, &error).await,
            answer => return answer,
        }
    }
}
