//! The commands beside `run`, as users type them.

mod asking;
mod author;
mod check;
mod completions;
mod names;
mod replay;
mod settings;
mod tail;
mod trying;
mod usage;
