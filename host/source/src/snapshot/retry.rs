//! Questions that are asked again until there is an answer.

use gtm_mongo::Backoff;
use gtm_mongo::server_error::is_retryable;
use gtm_mongo::wire::timed;
use mongodb::error::Result;

/// Asks until there is an answer, or one that no second try mends. `what` is said to have failed.
pub async fn patiently<T, F>(what: &str, ask: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut patience = Backoff::default();
    loop {
        match timed(ask()).await {
            Err(error) if is_retryable(&error) => patience.pause("snapshot.read_failed", what, &error).await,
            answer => return answer,
        }
    }
}
