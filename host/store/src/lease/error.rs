//! Why a host does not get a lease, or loses it.

use gtm_oplog::own_database::own_database;

/// Why a host does not get a lease, or loses it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LeaseError {
    /// The user may not write leases.
    #[error("this user may not keep the lease in {}.leases: {reason}", own_database())]
    Unauthorized {
        /// The error of the server.
        reason: String,
    },
    /// A newer gtm-host wrote it.
    #[error(
        "the lease of {key} in {}.leases is of version {version}, and this host knows version 1. help: use the gtm-host that \
         wrote it",
        own_database()
    )]
    Newer {
        /// The key of the lease.
        key: String,
        /// The version of the document.
        version: i64,
    },
    /// Its document is not as gtm-host writes it.
    #[error(
        "the lease of {key} in {}.leases is not as gtm-host writes it: {reason}. help: stop all hosts of this name, correct or \
         remove the lease, and start them again",
        own_database()
    )]
    Invalid {
        /// The key of the lease.
        key: String,
        /// Why the document is not valid.
        reason: String,
    },
    /// The server refuses to write it.
    #[error("the lease of {key} cannot be kept in {}.leases: {reason}", own_database())]
    Server {
        /// The key of the lease.
        key: String,
        /// The error of the server.
        reason: String,
    },
    /// Another host has it now.
    #[error(
        "the lease of {key} is lost: {holder} has it now. help: check whether this host or its machine was suspended"
    )]
    Taken {
        /// The key of the lease.
        key: String,
        /// The name of the holder.
        holder: String,
    },
    /// It was removed from the collection.
    #[error("the lease of {key} is lost: somebody removed it from {}.leases", own_database())]
    Removed {
        /// The key of the lease.
        key: String,
    },
    /// It could not be renewed in time.
    #[error("the lease of {key} is lost: it could not be renewed for {seconds:.1} s: {reason}")]
    Expired {
        /// The key of the lease.
        key: String,
        /// Seconds since the last renewal.
        seconds: f64,
        /// The last error.
        reason: String,
    },
}
