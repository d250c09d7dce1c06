//! The child process that compiles: the side of the parent and that of the child.
//!
//! The parent writes the length of the component and the component to the child's standard input, and keeps it open: when it closes,
//! the parent has ended, and the child ends, too. The child sets its limits before it reads the component.

use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use gtm_text::sanitize::size;
use rustix::process::{Resource, Rlimit, Signal, nice, setrlimit};
use wasmtime::Engine;

use super::directory::write;
use super::invalid;
use crate::engine::compiler_config;

/// Threads that compile. Each takes memory of its own.
const MAX_THREADS: usize = 8;
/// Bytes of native code. A plugin with a Python interpreter has 35 MB.
const MAX_NATIVE_BYTES: u64 = 1 << 30;
/// Bytes of the child's messages that are read.
const MAX_MESSAGE_BYTES: u64 = 16 << 10;
/// The interval at which the parent checks whether the child has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Exit codes of the child: the component is not valid, and memory ran out.
const INVALID: u8 = 3;
const NO_MEMORY: u8 = 4;

/// The limits of one compilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// Bytes of memory.
    pub memory: u64,
    /// Processor time of all threads together, in whole seconds.
    pub processor_time: Duration,
    /// Elapsed time.
    pub time: Duration,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            // A plugin with a Python interpreter takes a fifth of this.
            memory: 2 << 30,
            // Such a plugin takes about 20 s, or a minute or two on a slow processor.
            processor_time: Duration::from_secs(300),
            // On a busy machine, it takes longer.
            time: Duration::from_secs(600),
        }
    }
}

/// Compiles in a child process.
#[derive(Clone, Debug)]
pub struct ChildCompiler {
    /// The program that calls [`compile_as_child`].
    pub program: PathBuf,
    /// Its arguments before those of the compilation.
    pub arguments: Vec<String>,
    /// The limits of one compilation.
    pub limits: CompileLimits,
}

/// Why a component was not compiled.
pub(super) enum NotCompiled {
    /// The component is not valid.
    Invalid(String),
    /// It exceeds a limit, and always will.
    Limits(String),
    /// It exceeds the limit of elapsed time, which it may not exceed another time.
    Slow(String),
    /// Something else failed.
    Failed(String),
}

impl ChildCompiler {
    /// Compiles the component into this file.
    pub(super) fn compile(&self, component: &[u8], to: &Path) -> Result<(), NotCompiled> {
        let failed = |error: std::io::Error| NotCompiled::Failed(error.to_string());
        let CompileLimits { memory, processor_time, time } = self.limits;
        let threads = thread::available_parallelism().map_or(1, |threads| threads.get().min(MAX_THREADS));
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(to);
        command.args([memory.to_string(), processor_time.as_secs().max(1).to_string()]);
        // It needs nothing of the environment, which may hold secrets.
        command.env_clear().env("RAYON_NUM_THREADS", threads.to_string());
        // Ctrl-C is for the host, which then ends the child.
        command.process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let said = child.stderr.take().map(said);
        let stdin = child.stdin.take();
        let ended = thread::scope(|scope| {
            // If the child ends before it has read everything, this fails, and the exit status tells why.
            let sent =
                stdin.map(|mut stdin| scope.spawn(move || send(&mut stdin, component).map(|()| stdin)));
            let ended = wait(&mut child, time);
            drop(sent);
            ended
        });
        let said = said.and_then(|said| said.join().ok()).unwrap_or_default();
        match ended.map_err(failed)? {
            Some(status) => self.check_exit(status, said.trim()),
            None => Err(NotCompiled::Slow(format!("it was not compiled after {} s", time.as_secs()))),
        }
    }

    fn check_exit(&self, status: ExitStatus, said: &str) -> Result<(), NotCompiled> {
        let CompileLimits { memory, processor_time, .. } = self.limits;
        let no_memory = || {
            let memory = size(memory);
            Err(NotCompiled::Limits(format!("it takes more than {memory} of memory")))
        };
        let is = |signal: Signal| status.signal() == Some(signal.as_raw());
        match status.code().map(u8::try_from) {
            Some(Ok(0)) => Ok(()),
            Some(Ok(INVALID)) => Err(NotCompiled::Invalid(said.to_owned())),
            Some(Ok(NO_MEMORY)) => no_memory(),
            _ if is(Signal::XCPU) => {
                let seconds = processor_time.as_secs();
                Err(NotCompiled::Limits(format!("it takes more than {seconds} s of processor time")))
            }
            _ if is(Signal::ABORT) && said.contains("memory allocation of ") => no_memory(),
            _ if is(Signal::KILL) => Err(NotCompiled::Failed(format!(
                "the compiler was killed: {said}. help: check that there is enough memory"
            ))),
            _ => Err(NotCompiled::Failed(format!("the compiler ended with {status}: {said}"))),
        }
    }
}

fn send(stdin: &mut impl Write, component: &[u8]) -> std::io::Result<()> {
    let length = u64::try_from(component.len()).unwrap_or(u64::MAX);
    stdin.write_all(&length.to_le_bytes())?;
    stdin.write_all(component)
}

/// Reads the child's messages, up to a limit, until the child ends.
fn said(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut said = Vec::new();
        // A part of the message is better than nothing.
        let _ = from.by_ref().take(MAX_MESSAGE_BYTES).read_to_end(&mut said);
        let _ = std::io::copy(&mut from, &mut std::io::sink());
        String::from_utf8_lossy(&said).into_owned()
    })
}

/// Waits until the child has ended, and ends it after this time.
fn wait(child: &mut Child, longest: Duration) -> std::io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    while started.elapsed() < longest {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(POLL_INTERVAL);
    }
    child.kill()?;
    child.wait().map(|_| None)
}

/// Compiles the component on standard input into the file `to`, with at most `memory` bytes and `processor_seconds` of processor time.
/// Returns the exit code of the process, which must do nothing else.
pub fn compile_as_child(to: &Path, memory: u64, processor_seconds: u64) -> u8 {
    let (code, said) = match limit(memory, processor_seconds).and_then(|()| receive()) {
        Ok(component) => compile(&component, to),
        Err(error) => (1, error.to_string()),
    };
    // Nobody reads the message if the parent has ended.
    let _ = writeln!(std::io::stderr(), "{said}");
    code
}

fn limit(memory: u64, processor_seconds: u64) -> std::io::Result<()> {
    let both = |limit| Rlimit { current: Some(limit), maximum: Some(limit) };
    // This limits writable memory, not reserved addresses.
    setrlimit(Resource::Data, both(memory))?;
    setrlimit(Resource::Fsize, both(MAX_NATIVE_BYTES))?;
    setrlimit(Resource::Core, both(0))?;
    // The first limit sends a signal that names the reason.
    let maximum = Some(processor_seconds.saturating_add(10));
    setrlimit(Resource::Cpu, Rlimit { current: Some(processor_seconds), maximum })?;
    // Running plugins come first.
    let _ = nice(5);
    Ok(())
}

fn receive() -> std::io::Result<Vec<u8>> {
    let mut stdin = std::io::stdin();
    let mut length = [0; 8];
    stdin.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let mut component = Vec::new();
    stdin.by_ref().take(length).read_to_end(&mut component)?;
    if u64::try_from(component.len()).ok() != Some(length) {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    // The parent holds the other end open as long as it waits.
    thread::Builder::new().spawn(move || {
        let _ = stdin.read(&mut [0]);
        std::process::exit(1);
    })?;
    Ok(component)
}

fn compile(component: &[u8], to: &Path) -> (u8, String) {
    let native = Engine::new(&compiler_config()).and_then(|engine| engine.precompile_component(component));
    let native = match native {
        Ok(native) => native,
        Err(error) if is_no_memory(&error) => return (NO_MEMORY, format!("{error:#}")),
        Err(error) => {
            return match invalid(&error) {
                super::NotCompiled::Invalid(reason) => (INVALID, reason),
                _ => (1, format!("{error:#}")),
            };
        }
    };
    match write(to, &native) {
        Ok(()) => (0, String::new()),
        Err(error) => (1, format!("{} cannot be written: {error}", to.display())),
    }
}

/// The allocator ends the process; a mapping of memory returns an error.
fn is_no_memory(error: &wasmtime::Error) -> bool {
    let is = |error: &std::io::Error| error.kind() == std::io::ErrorKind::OutOfMemory;
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(is)
            || cause.to_string().contains("allocate memory")
    })
}
