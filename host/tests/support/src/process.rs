//! Processes that end with their owner.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a process may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// A process started here. Dropped, it is ended.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts a process.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(name: &str, command: &mut Command) -> anyhow::Result<Self> {
        let child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
        Ok(Self { name: name.to_owned(), child })
    }

    /// The child, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// The process is gone.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(pid, signal).with_context(|| format!("{} cannot be sent {signal}", self.name))
    }

    /// Waits for the process to end by itself.
    ///
    /// # Errors
    /// It has not within `limit`.
    pub fn wait(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("{} has not ended within {} s", self.name, limit.as_secs());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits until somebody listens at `port` on this machine.
    ///
    /// # Errors
    /// The process ended, or nobody does within `limit`.
    pub fn wait_for_port(&mut self, port: u16, limit: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + limit;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} has ended at its start: {status}", self.name);
            }
            if Instant::now() > deadline {
                bail!("{} does not listen at port {port} after {} s", self.name, limit.as_secs());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        if self.signal(Signal::SIGTERM).is_err() || self.wait(GRACE).is_err() {
            // It has had its time, or is gone: an error here changes nothing.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A port on which nobody listens now.
///
/// # Errors
/// The system has none to give.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
