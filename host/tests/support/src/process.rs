//! Processes that end with their owner.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The time within which a process must end after SIGTERM.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A process that ends when this value is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts a process.
    ///
    /// # Errors
    /// Fails if the process cannot be started.
    pub fn start(name: &str, command: &mut Command) -> anyhow::Result<Self> {
        let child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
        Ok(Self { name: name.to_owned(), child })
    }

    /// Returns the child, whose pipes the caller may take.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends a signal to the process.
    ///
    /// # Errors
    /// Fails if the process has ended.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(pid, signal).with_context(|| format!("{} cannot be sent {signal}", self.name))
    }

    /// Waits until the process ends.
    ///
    /// # Errors
    /// Fails if it has not ended within `limit`.
    pub fn wait(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("{} has not ended within {} s", self.name, limit.as_secs());
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Waits until a program listens at `port` on this machine.
    ///
    /// # Errors
    /// Fails if the process ends, or no program listens within `limit`.
    pub fn wait_for_port(&mut self, port: u16, limit: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + limit;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended while it started: {status}", self.name);
            }
            if Instant::now() > deadline {
                bail!("{} does not listen at port {port} after {} s", self.name, limit.as_secs());
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        if self.signal(Signal::SIGTERM).is_err() || self.wait(STOP_TIMEOUT).is_err() {
            // It did not stop in time, or is gone: an error here changes nothing.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Returns a port on which no program listens now.
///
/// # Errors
/// Fails if the system has no free port.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
