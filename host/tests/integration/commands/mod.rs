//! The commands beside `run`, as users type them.

mod replay;
mod tail;
