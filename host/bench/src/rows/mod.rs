//! What is measured: one file for each kind of row.

pub(crate) mod drain;
