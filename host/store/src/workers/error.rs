//! Why a list of workers cannot be used.

/// Why a list of workers cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkersError {
    /// The list is empty.
    #[error(
        "the list of workers is empty. help: write the names of all workers into it, as in {{\"workers\": [\"Tom\", \"Dick\"]}}"
    )]
    NoWorkers,
    /// A name is empty.
    #[error("a worker in the list has an empty name. help: give it a name")]
    NoName,
    /// Two workers share a name.
    #[error("the list of workers has {name} twice. help: give each worker a name of its own")]
    Twice {
        /// The name.
        name: String,
    },
    /// More workers than there can be.
    #[error("the list has {count} workers, and it may have at most {most}")]
    TooMany {
        /// The number of workers in the list.
        count: usize,
        /// The maximum number of workers.
        most: usize,
    },
    /// This host is not among the workers.
    #[error("there is no worker {name}; there are: {known}")]
    NotListed {
        /// The name of this host.
        name: String,
        /// The workers in the list.
        known: String,
    },
    /// The list cannot be read, or is not a list of workers.
    #[error(
        "{place} has no list of workers: {reason}. help: write one, as in {{\"workers\": [\"Tom\", \"Dick\"]}}"
    )]
    NoList {
        /// The file or the document.
        place: String,
        /// Why it is not a list of workers.
        reason: String,
    },
    /// The server does not return the document.
    #[error("{place} cannot be read: {reason}")]
    Server {
        /// The document.
        place: String,
        /// The error of the server.
        reason: String,
    },
    /// The user may not read it.
    #[error("this user may not read {place}, the list of workers, in the database {database}")]
    Unauthorized {
        /// The document.
        place: String,
        /// Its database.
        database: String,
    },
}
