//! Decides to which worker of a group an op belongs. Hosts that share the work of one pipeline each take their part of the documents,
//! without communicating.
//!
//! Each op belongs to exactly one worker. For a change to a document, the namespace and the document's `_id` decide, so that all changes
//! to one document go to one worker, in order. (The documents of a renamed collection are distributed again.) For an op without a document
//! key, such as a command, the namespace alone decides: it goes to one worker, not to each.
//!
//! The choice is consistent hashing: a removed worker leaves its documents to the others, an added worker takes its own from them, and no
//! other document moves. It is the same on every machine, in every build, and in any order of the list.

mod canonical;
mod error;
mod group;
mod list;
mod number;

pub use error::WorkersError;
pub use group::Group;
pub use list::ListDocument;
