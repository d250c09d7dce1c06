//! A real mail server that keeps the mails that it gets.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Deserialize;

use crate::{Process, Venv, free_port};

const START_TIMEOUT: Duration = Duration::from_secs(300);

/// A mail as it arrived.
#[derive(Clone, Debug, Deserialize)]
pub struct Mail {
    /// `Message-ID`
    pub id: String,
    /// `From`
    pub from: String,
    /// The recipients that the client named to the server.
    pub to: Vec<String>,
    /// `Subject`, decoded.
    pub subject: String,
    /// The body, decoded.
    pub text: String,
}

/// A mail server. It refuses mail for `refused@…` for good, and mail for `later@…` the first time.
#[derive(Debug)]
pub struct SmtpSink {
    port: u16,
    mails: Receiver<Mail>,
    _process: Process,
}

impl SmtpSink {
    /// Starts a mail server at a free port.
    ///
    /// # Errors
    /// Fails if it cannot be started.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_at(free_port()?)
    }

    /// Starts a mail server at this port.
    ///
    /// # Errors
    /// Fails if it cannot be started.
    pub fn start_at(port: u16) -> anyhow::Result<Self> {
        Self::start_with(port, &[])
    }

    /// Starts a mail server that supports SMTPUTF8 (`utf8`), or requires a login that nobody has (`login`).
    ///
    /// # Errors
    /// Fails if it cannot be started.
    pub fn start_with(port: u16, options: &[&str]) -> anyhow::Result<Self> {
        let mut command = Venv::ready()?.script("host/tests/support/python/smtp_sink.py");
        command.arg(port.to_string()).args(options).stdout(Stdio::piped());
        let mut process = Process::start("the mail server", &mut command)?;
        process.wait_for_port(port, START_TIMEOUT)?;
        let output = process.child().stdout.take().context("the mail server has no output")?;
        let (sender, mails) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if serde_json::from_str(&line).is_ok_and(|mail| sender.send(mail).is_err()) {
                    return;
                }
            }
        });
        Ok(Self { port, mails, _process: process })
    }

    /// Returns the URL of the mail server.
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// Waits up to `limit` for the next mail, and returns it.
    pub fn next(&self, limit: Duration) -> Option<Mail> {
        self.mails.recv_timeout(limit).ok()
    }

    /// Waits up to `limit` for `count` mails, and returns those that came.
    pub fn take(&self, count: usize, limit: Duration) -> Vec<Mail> {
        let deadline = Instant::now() + limit;
        let next = || self.next(deadline.saturating_duration_since(Instant::now()));
        std::iter::from_fn(next).take(count).collect()
    }
}
