//! Nothing: what this crate is for is in its `Cargo.toml`.
#![forbid(unsafe_code)]
