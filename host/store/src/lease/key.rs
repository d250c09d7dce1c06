//! The key of a lease, and its time to live.

use std::fmt;
use std::time::Duration;

use bson::{Document, doc};
use gtm_text::units::parse_time;

/// The work that only one host does at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseKey {
    /// The name of the pipeline.
    pub pipeline: String,
    /// The worker, if the work is shared.
    pub worker: Option<String>,
}

impl LeaseKey {
    /// Returns the `_id` of the lease.
    pub(super) fn id(&self) -> Document {
        let mut id = doc! { "pipeline": &self.pipeline };
        if let Some(worker) = &self.worker {
            id.insert("worker", worker);
        }
        id
    }
}

impl fmt::Display for LeaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pipeline {}", self.pipeline)?;
        self.worker.iter().try_for_each(|worker| write!(f, ", worker {worker}"))
    }
}

/// The minimum time to live. A renewal may take a quarter of it: with less, hosts would lose their leases while the server is busy.
const MIN_TTL: Duration = Duration::from_secs(1);

/// The reason why a text is not a valid time to live.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidTtl {
    /// It is not a time.
    #[error("{0}")]
    Time(String),
    /// It is too short.
    #[error("the time to live of a lease is at least 1s")]
    Short,
}

/// Parses a time to live, such as `10s`.
///
/// # Errors
/// It is not a time, or less than a second.
pub fn parse_ttl(text: &str) -> Result<Duration, InvalidTtl> {
    let ttl = parse_time(text).map_err(InvalidTtl::Time)?;
    if ttl < MIN_TTL { Err(InvalidTtl::Short) } else { Ok(ttl) }
}
