//! Prints the results of commands on standard output.

use std::io::{self, ErrorKind, Write};

use anyhow::Context;
use gtm_text::sanitize;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde_json::Value;
use tokio::sync::oneshot;

/// Waits until the reader of standard output is gone, as after `| head`. If standard output is a file, it waits forever.
pub(super) async fn unread() {
    let (sender, gone) = oneshot::channel();
    let look = move || {
        let out = io::stdout();
        // Without requested events, poll returns only for an error or a hang-up.
        let mut polled = [PollFd::new(&out, PollFlags::empty())];
        while let Err(Errno::INTR) = poll(&mut polled, None) {}
        // The caller may no longer wait.
        let _ = sender.send(());
    };
    // The thread stays blocked until the process ends.
    let is_looked_for = std::thread::Builder::new().name("stdout".to_owned()).spawn(look).is_ok();
    if !is_looked_for || gone.await.is_err() {
        std::future::pending().await
    }
}

/// Prints text for people, with a line break at its end. Escapes characters that would control a terminal; the caller passes a value that
/// must not start a line through [`sanitize::line`] first. Returns whether the output still has a reader.
pub(super) fn print_text(text: &str) -> anyhow::Result<bool> {
    print(sanitize::lines(text).as_bytes())
}

/// Prints a value as one line of JSON. Returns whether the output still has a reader.
pub(super) fn print_json(value: &Value) -> anyhow::Result<bool> {
    print(&serde_json::to_vec(value)?)
}

/// Prints a line unchanged: JSON, or text with colours whose values went through [`sanitize::line`]. Returns whether the output still has
/// a reader.
pub(super) fn print(line: &[u8]) -> anyhow::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(line).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("cannot write to standard output"),
    }
}
