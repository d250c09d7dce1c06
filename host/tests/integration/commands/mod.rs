//! The commands beside `run`, as users type them.

mod check;
mod replay;
mod tail;
