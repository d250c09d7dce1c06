//! Which worker of a group an op belongs to: hosts that share the work of one pipeline each take their part of the
//! documents, and need no word with each other for it.
//!
//! Each op belongs to exactly one worker. That of a change to a document is chosen by the namespace and the document's
//! `_id`, so that all changes to one document go to one worker, in order, while it has its name and its `_id`. (A
//! collection that is renamed is another: its documents are shared out anew.) That of an op without a document key, such
//! as a command, is chosen by the namespace alone: it goes to one worker, not to each.
//!
//! The choice is consistent hashing: a worker that is taken away leaves its documents to the others, one that is added takes
//! its own from them, and no other document moves. It is the same on every machine, in every build, and in whatever
//! order the workers are listed.

mod canonical;
mod error;
mod group;
mod list;
mod number;

pub use error::WorkersError;
pub use group::Group;
pub use list::ListDocument;
