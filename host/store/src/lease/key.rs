//! What a lease is of, and how long it lives.

use std::fmt;
use std::time::Duration;

use bson::{Document, doc};
use gtm_text::units::parse_time;

/// What one host at a time works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseKey {
    /// The name of the pipeline.
    pub pipeline: String,
    /// Which of the workers, if the work is shared.
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

/// A shorter one would be lost whenever a server is busy: each renewal has a quarter of it.
const MIN_TTL: Duration = Duration::from_secs(1);

/// No time that a lease can live.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NoTtl {
    /// Not a time.
    #[error("{0}")]
    Time(String),
    /// Too short.
    #[error("a lease lives for 1s at least")]
    Short,
}

/// Parses a time to live, such as `10s`.
///
/// # Errors
/// It is no time, or less than a second.
pub fn parse_ttl(text: &str) -> Result<Duration, NoTtl> {
    let ttl = parse_time(text).map_err(NoTtl::Time)?;
    if ttl < MIN_TTL { Err(NoTtl::Short) } else { Ok(ttl) }
}
