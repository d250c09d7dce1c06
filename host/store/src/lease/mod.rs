//! Decides which of two hosts with the same pipeline is active: the one that holds the lease. The standby host takes over after the
//! active one has ended.
//!
//! The lease is a document in the collection `leases` of the host's own database, written only by compare-and-set and with write concern
//! `majority`:
//!
//! ```text
//! {_id: {pipeline, worker?}, version: 1, holder, process: {holder, place, pid, started}?, epoch, renewals, released, time}
//! ```
//!
//! - `epoch` is the fencing token, which increases with each holder. The store refuses writes with an older one.
//! - `process` lets a host on the same machine find out that the holder has ended: see `process.rs`. Such a lease is taken immediately.
//! - `renewals` increases while the holder lives; `released` shows that the holder released the lease. `time` is for people.
//!
//! No clocks are compared. The holder renews the lease every quarter of the time to live, and considers it lost when three quarters have
//! passed since the last successful renewal *began*. The standby host reads the document, and takes the lease when it has not changed for
//! the whole time to live since the host *first read* it. Both measure on their own monotonic clocks, so the holder stops a quarter of
//! the time to live before the other host begins.
//!
//! If a host loses its lease while no server replies, and nobody takes it meanwhile, the host takes it back as soon as a server replies:
//! it recognizes its own name. It takes it with a new epoch, which fences off writes that are still in progress.
//!
//! A suspended machine may stop its clock, too: when its host resumes, it may have lost the lease, and notices with its next renewal.
//! Until then, only the fencing token prevents harm.

mod document;
mod error;
mod hold;
mod key;
mod leases;
mod look;
mod process;
mod wait;

pub use error::LeaseError;
pub use hold::{Lease, LeaseHolder};
pub use key::{InvalidTtl, LeaseKey, parse_ttl};
pub use look::holder;
pub use wait::LeaseWait;
