//! Which of two hosts with the same pipeline works: the one that holds the lease. The other stands by, and takes over when
//! the first has ended.
//!
//! The lease is a document in the collection `leases` of the host's own database, written with write concern `majority` and by compare-and-set only:
//!
//! ```text
//! {_id: {pipeline, worker?}, version: 1, holder, process: {holder, place, pid, started}?, epoch, renewals, released, time}
//! ```
//!
//! - `epoch` is the fencing token: one more with each holder. Who stores something for the holder refuses what comes with an
//!   older one.
//! - `process` lets a host on the same machine know that the holder has ended: see `process.rs`. Such a lease is taken immediately.
//! - `renewals` counts up while the holder lives; `released` says that it gave the lease up. `time` is for people.
//!
//! No clocks are compared. A holder renews each quarter of the time to live, and when three quarters of it have passed since
//! the last renewal that worked *began*, counts the lease as lost. Who stands by looks at the document, and takes the lease when it has not
//! changed for the whole time to live, since its *own first look* at it. Each of the two measures on its own monotonic clock; so the
//! holder has stopped a quarter before the other begins.
//!
//! A host whose lease was lost while no server answered, and that nobody took meanwhile, takes it again as soon as a server answers:
//! it knows its own name. It takes it with a new epoch, so that what may still be under way is fenced off.
//!
//! A machine that sleeps may stop its clock, too: its host wakes up, holds the lease no more, and learns it with its next
//! renewal. Until then only the fencing token keeps it from doing harm.

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
pub use key::{LeaseKey, NoTtl, parse_ttl};
pub use look::holder;
pub use wait::LeaseWait;
