//! What commands print on the standard output.

use std::io::{self, ErrorKind, Write};

use anyhow::Context;
use gtm_text::sanitize;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde_json::Value;
use tokio::sync::oneshot;

/// Waits until nobody reads the standard output any more. Of a file nobody is known who does, so that it never ends.
pub(super) async fn unread() {
    let (sender, gone) = oneshot::channel();
    let look = move || {
        let out = io::stdout();
        // Without any event that is asked for, it ends with an error or a hang-up.
        let mut polled = [PollFd::new(&out, PollFlags::empty())];
        while let Err(Errno::INTR) = poll(&mut polled, None) {}
        // Who asked may not wait any more.
        let _ = sender.send(());
    };
    // It stays where it is until the process ends.
    let is_looked_for = std::thread::Builder::new().name("stdout".to_owned()).spawn(look).is_ok();
    if !is_looked_for || gone.await.is_err() {
        std::future::pending().await
    }
}

/// Prints text for people, and ends its last line. What would do something on a terminal is shown instead; a value that must not
/// begin a line goes through [`sanitize::line`] first. Gives back whether somebody reads it.
pub(super) fn print_text(text: &str) -> anyhow::Result<bool> {
    print(sanitize::lines(text).as_bytes())
}

pub(super) fn print_json(value: &Value) -> anyhow::Result<bool> {
    print(&serde_json::to_vec(value)?)
}

/// Prints a line as it is: JSON, or text with colours whose values went through [`sanitize::line`]. Gives back whether somebody reads
/// it.
pub(super) fn print(line: &[u8]) -> anyhow::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(line).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("the standard output cannot be written to"),
    }
}
