//! A MongoDB server for tests: the one that `MONGODB_URI` names, else a `mongod` on the PATH as a replica set of one member, else the
//! test server from PyPI, which speaks the same protocol.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::{Process, Venv, free_port, target_dir};

const START_TIMEOUT: Duration = Duration::from_secs(300);

/// Options of a server that is started here.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerOptions {
    /// Clients must log in.
    pub auth: bool,
    /// The server is not a member of a replica set.
    pub standalone: bool,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    uri: String,
    own: Option<OwnServer>,
}

/// A server that was started here.
#[derive(Debug)]
struct OwnServer {
    process: Option<Process>,
    data: TempDir,
    port: u16,
    kind: ServerKind,
    options: ServerOptions,
}

#[derive(Clone, Debug)]
enum ServerKind {
    Mongod(PathBuf),
    TestServer(Venv),
}

impl Server {
    /// Returns the server that `MONGODB_URI` names, or starts one.
    ///
    /// # Errors
    /// Fails if none is named and none can be started.
    pub fn ready() -> anyhow::Result<Self> {
        match std::env::var("MONGODB_URI") {
            Ok(uri) => Ok(Self { uri, own: None }),
            Err(_) => Self::start(ServerOptions::default()),
        }
    }

    /// Starts a server that can be killed and restarted.
    ///
    /// # Errors
    /// Fails if it cannot be started.
    pub fn start(options: ServerOptions) -> anyhow::Result<Self> {
        let kind = match find_on_path("mongod") {
            Some(mongod) => ServerKind::Mongod(mongod),
            None => ServerKind::TestServer(Venv::ready()?),
        };
        let own = OwnServer { process: None, data: tempfile::tempdir()?, port: free_port()?, kind, options };
        let mut server =
            Self { uri: format!("mongodb://127.0.0.1:{}/?directConnection=true", own.port), own: Some(own) };
        server.restart()?;
        if let Some(OwnServer {
            kind: ServerKind::Mongod(_),
            port,
            options: ServerOptions { standalone: false, .. },
            ..
        }) = server.own
        {
            initiate(port)?;
        }
        Ok(server)
    }

    /// Returns the URI of the server.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Describes the server for people.
    pub fn describe(&self) -> String {
        match &self.own {
            None => "the server that MONGODB_URI names".to_owned(),
            Some(OwnServer { kind: ServerKind::Mongod(path), .. }) => {
                format!("{} as a replica set of one member", path.display())
            }
            Some(OwnServer { kind: ServerKind::TestServer(_), .. }) => {
                "the test server from PyPI (secantusdb)".to_owned()
            }
        }
    }

    fn own(&mut self) -> anyhow::Result<&mut OwnServer> {
        self.own.as_mut().context("only a server that was started here can be killed or restarted")
    }

    /// Kills the server with SIGKILL, as a crash would.
    ///
    /// # Errors
    /// Fails if the server was not started here.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let own = self.own()?;
        if let Some(mut process) = own.process.take() {
            process.signal(Signal::SIGKILL)?;
            process.wait(START_TIMEOUT)?;
        }
        Ok(())
    }

    /// Restarts the server with other options, at the same port and with the same data.
    ///
    /// # Errors
    /// Fails if the server was not started here, or does not start.
    pub fn restart_with(&mut self, options: ServerOptions) -> anyhow::Result<()> {
        self.own()?.options = options;
        self.restart()
    }

    /// Restarts the server, at the same port and with the same data.
    ///
    /// # Errors
    /// Fails if the server was not started here, or does not start.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.kill()?;
        let own = self.own()?;
        let log = log_file(own.port)?;
        let mut command = own.command();
        command.stdout(log.try_clone()?).stderr(log);
        let mut process = Process::start("the MongoDB server", &mut command)?;
        process.wait_for_port(own.port, START_TIMEOUT)?;
        own.process = Some(process);
        Ok(())
    }
}

impl OwnServer {
    fn command(&self) -> Command {
        let ServerOptions { auth, standalone } = self.options;
        let port = self.port.to_string();
        match &self.kind {
            ServerKind::Mongod(mongod) => {
                let mut command = Command::new(mongod);
                command.args(["--bind_ip", "127.0.0.1", "--port", &port, "--dbpath"]).arg(self.data.path());
                command.args(["--setParameter", "enableTestCommands=1"]);
                command.args(auth.then_some("--auth"));
                command.args((!standalone).then_some(["--replSet", "rs0"]).into_iter().flatten());
                command
            }
            ServerKind::TestServer(venv) => {
                let mut command = venv.script("host/tests/support/python/test_server.py");
                command.args(["--host", "127.0.0.1", "--port", &port, "--enable-test-commands"]);
                // An acknowledged write survives a kill, as a majority write does on MongoDB.
                command.arg("--sync-on-commit");
                command.arg("--storage-path").arg(self.data.path());
                command.args(auth.then_some("--auth"));
                command.args(standalone.then_some("--standalone"));
                command
            }
        }
    }
}

fn initiate(port: u16) -> anyhow::Result<()> {
    let status =
        Venv::ready()?.script("host/tests/support/python/initiate.py").arg(port.to_string()).status()?;
    if !status.success() {
        bail!("the replica set could not be initiated");
    }
    Ok(())
}

/// Returns the log file of the server. It is under the target directory, so that it outlives a test that fails.
fn log_file(port: u16) -> anyhow::Result<File> {
    let directory = target_dir().join("testbed");
    std::fs::create_dir_all(&directory)?;
    let path = directory.join(format!("server-{port}.log"));
    File::options().create(true).append(true).open(&path).with_context(|| path.display().to_string())
}

fn find_on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| Path::is_file(file))
}
