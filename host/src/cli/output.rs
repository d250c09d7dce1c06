//! What commands print on the standard output.

use std::io::{self, ErrorKind, Write};

use anyhow::Context;
use serde_json::Value;

/// Prints a line. Gives back whether somebody reads it.
pub(super) fn print(line: &[u8]) -> anyhow::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(line).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("the standard output cannot be written to"),
    }
}

pub(super) fn print_json(value: &Value) -> anyhow::Result<bool> {
    print(&serde_json::to_vec(value)?)
}
