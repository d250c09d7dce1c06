//! The commands beside `run`, as users type them.

mod author;
mod check;
mod replay;
mod tail;
