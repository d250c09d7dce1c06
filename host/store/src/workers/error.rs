//! Why there is no group.

/// Why there is no group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkersError {
    /// The list is empty.
    #[error(
        "the list of workers is empty: write the names of all workers into it, as in {{\"workers\": [\"Tom\", \"Dick\"]}}"
    )]
    NoWorkers,
    /// A name is empty.
    #[error("a worker in the list has an empty name: give it another")]
    NoName,
    /// Two workers share a name.
    #[error("the list of workers has {name} twice: each needs a name of its own")]
    Twice {
        /// The name.
        name: String,
    },
    /// More workers than there can be.
    #[error("the list has {count} workers, and there can be {most}")]
    TooMany {
        /// So many are listed.
        count: usize,
        /// So many there can be.
        most: usize,
    },
    /// This host is none of the workers.
    #[error(
        "there is no worker {name}; there are: {known}. Name one of them by --workers-name, or add {name} to the list, for all hosts"
    )]
    NotListed {
        /// The name of this host.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// The list cannot be read, or is none.
    #[error("{place} gives no workers: {reason}. It should be like {{\"workers\": [\"Tom\", \"Dick\"]}}")]
    NoList {
        /// The file or the document.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// The server does not give the document.
    #[error("{place} cannot be read: {reason}")]
    Server {
        /// The document.
        place: String,
        /// What the server says.
        reason: String,
    },
    /// The user has not the right to read it.
    #[error(
        "this user may not read {place}, the list of workers: grant the role read on the database {database}, or give the list as a file (--workers-file FILE)"
    )]
    Unauthorized {
        /// The document.
        place: String,
        /// Its database.
        database: String,
    },
}
