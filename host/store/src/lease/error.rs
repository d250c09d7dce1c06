//! Why a lease is not had, or not had any more.

use gtm_oplog::own_database::own_database;

/// Why a lease is not had, or not had any more.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LeaseError {
    /// The user has not the right to keep leases.
    #[error(
        "this user may not keep the lease in {0}.leases: {reason}. Let an administrator grant it, in mongosh: \
         db.getSiblingDB(\"admin\").grantRolesToUser(\"USER\", [{{role: \"readWrite\", db: \"{0}\"}}]), or keep everything on this \
         machine, for one host only (--store file:DIR)",
        own_database()
    )]
    Unauthorized {
        /// What the server says.
        reason: String,
    },
    /// A newer gtm-host wrote it.
    #[error(
        "the lease of {key} in {}.leases is of version {version}, and this host knows version 1: use the gtm-host that wrote it",
        own_database()
    )]
    Newer {
        /// Whose lease.
        key: String,
        /// Its version.
        version: i64,
    },
    /// It is not as gtm-host writes it.
    #[error(
        "the lease of {key} in {}.leases is not as gtm-host writes it: {reason}. Was it edited? Stop all hosts of this name, \
         mend or remove it, and start them again",
        own_database()
    )]
    Invalid {
        /// Whose lease.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// The server refuses.
    #[error("the lease of {key} cannot be kept in {}.leases: {reason}", own_database())]
    Server {
        /// Whose lease.
        key: String,
        /// What the server says.
        reason: String,
    },
    /// Another host has it now.
    #[error(
        "the lease of {key} is lost: {holder} has it now. Did this host, or its machine, stand still for a while?"
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
