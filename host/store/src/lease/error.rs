//! Why a host does not get a lease, or loses it.

use gtm_oplog::own_database::own_database;

/// Why a host does not get a lease, or loses it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LeaseError {
    /// The user may not write leases.
    #[error("this user may not keep the lease in {}.leases: {reason}", own_database())]
    Unauthorized {
        /// What the server says.
        reason: String,
    },
    /// A newer gtm-host wrote it.
    #[error(
        "the lease of {key} in {}.leases is of version {version}, and this host knows version 1. help: use the gtm-host that \
         wrote it",
        own_database()
    )]
    Newer {
        /// Whose lease.
        key: String,
        /// Its version.
        version: i64,
    },
    /// Its document is not as gtm-host writes it.
    #[error(
        "the lease of {key} in {}.leases is not as gtm-host writes it: {reason}. help: stop all hosts of this name, correct or \
         remove the lease, and start them again",
        own_database()
    )]
    Invalid {
        /// Whose lease.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// The server refuses to write it.
    #[error("the lease of {key} cannot be kept in {}.leases: {reason}", own_database())]
    Server {
        /// Whose lease.
        key: String,
        /// What the server says.
        reason: String,
    },
    /// Another host has it now.
    #[error(
        "the lease of {key} is lost: {holder} has it now. help: check whether this host or its machine was suspended"
    )]
    Taken {
        /// Whose lease.
        key: String,
        /// Who has it.
        holder: String,
    },
    /// It was removed from the collection.
    #[error("the lease of {key} is lost: somebody removed it from {}.leases", own_database())]
    Removed {
        /// Whose lease.
        key: String,
    },
    /// It could not be renewed in time.
    #[error("the lease of {key} is lost: it could not be renewed for {seconds:.1} s: {reason}")]
    Expired {
        /// Whose lease.
        key: String,
        /// How long it could not.
        seconds: f64,
        /// What was last wrong.
        reason: String,
    },
}
