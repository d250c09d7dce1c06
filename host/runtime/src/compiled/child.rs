//! The child process that compiles, from both sides.
//!
//! The parent writes the component into the child's standard input, after its length, and keeps that open: when it closes, the
//! parent has gone, and the child ends. The child limits itself before it looks at the component.

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

/// Threads that compile. Each takes memory of its own, whatever the number of processors.
const MAX_THREADS: usize = 8;
/// Bytes of native code. A plugin with a Python interpreter makes 35 MB.
const MAX_NATIVE_BYTES: u64 = 1 << 30;
/// Bytes of what the child says that are read.
const MAX_MESSAGE_BYTES: u64 = 16 << 10;
/// Between two looks whether the child has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Exit codes of the child.
const INVALID: u8 = 3;
const NO_MEMORY: u8 = 4;

/// What one compilation may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// Bytes of memory.
    pub memory: u64,
    /// Time of processors, of all of them together. In whole seconds.
    pub processor_time: Duration,
    /// Time, by the clock.
    pub time: Duration,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            // A plugin with a Python interpreter takes a fifth of it.
            memory: 2 << 30,
            // Such a plugin takes some 20 s, and a minute or two of a slow processor.
            processor_time: Duration::from_secs(300),
            // On a machine that is busy with other things, it takes longer.
            time: Duration::from_secs(600),
        }
    }
}

/// Compiles in a child process.
#[derive(Clone, Debug)]
pub struct ChildCompiler {
    /// The program, with the arguments before those of the compilation. It calls [`compile_as_child`].
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What one compilation may take.
    pub limits: CompileLimits,
}

/// Why there is no native code.
pub(super) enum NotCompiled {
    /// The component is at fault.
    Invalid(String),
    /// It takes more than it may, and always will.
    Limits(String),
    /// It takes longer than it may, by the clock.
    Slow(String),
    /// Something else is.
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
        // It needs nothing of the environment, and what is secret there is none of its business.
        command.env_clear().env("RAYON_NUM_THREADS", threads.to_string());
        // Ctrl-C is for the host, which then lets go of the child.
        command.process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let said = child.stderr.take().map(said);
        let stdin = child.stdin.take();
        let ended = thread::scope(|scope| {
            // If the child ends before it has read all, this fails, and that is seen below.
            let sent =
                stdin.map(|mut stdin| scope.spawn(move || send(&mut stdin, component).map(|()| stdin)));
            let ended = wait(&mut child, time);
            drop(sent);
            ended
        });
        let said = said.and_then(|said| said.join().ok()).unwrap_or_default();
        match ended.map_err(failed)? {
            Some(status) => self.check_exit(status, said.trim()),
            None => Err(NotCompiled::Slow(format!("it was not done after {} s", time.as_secs()))),
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
            _ if is(Signal::KILL) => {
                Err(NotCompiled::Failed(format!("the compiler was killed; is there enough memory? {said}")))
            }
            _ => Err(NotCompiled::Failed(format!("the compiler ended with {status}: {said}"))),
        }
    }
}

fn send(stdin: &mut impl Write, component: &[u8]) -> std::io::Result<()> {
    let length = u64::try_from(component.len()).unwrap_or(u64::MAX);
    stdin.write_all(&length.to_le_bytes())?;
    stdin.write_all(component)
}

/// Reads what the child writes, up to a bound, until the child ends.
fn said(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut said = Vec::new();
        // What could be read is better than nothing.
        let _ = from.by_ref().take(MAX_MESSAGE_BYTES).read_to_end(&mut said);
        let _ = std::io::copy(&mut from, &mut std::io::sink());
        String::from_utf8_lossy(&said).into_owned()
    })
}

/// Waits until the child has ended; for so long, and then ends it.
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

/// Compiles what comes on the standard input into this file, with so many bytes of memory and so many seconds of processor time.
/// Gives back the exit code of the process, which must do nothing else.
pub fn compile_as_child(to: &Path, memory: u64, processor_seconds: u64) -> u8 {
    let (code, said) = match limit(memory, processor_seconds).and_then(|()| receive()) {
        Ok(component) => compile(&component, to),
        Err(error) => (1, error.to_string()),
    };
    // If nobody reads it, nobody wants it.
    let _ = writeln!(std::io::stderr(), "{said}");
    code
}

fn limit(memory: u64, processor_seconds: u64) -> std::io::Result<()> {
    let both = |limit| Rlimit { current: Some(limit), maximum: Some(limit) };
    // The memory that it may write to, and not the addresses that it reserves.
    setrlimit(Resource::Data, both(memory))?;
    setrlimit(Resource::Fsize, both(MAX_NATIVE_BYTES))?;
    setrlimit(Resource::Core, both(0))?;
    // At the first it is told by a signal of its own.
    let maximum = Some(processor_seconds.saturating_add(10));
    setrlimit(Resource::Cpu, Rlimit { current: Some(processor_seconds), maximum })?;
    // The plugins that run come first.
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
    // The parent holds the other end as long as it waits.
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

/// The allocator ends the process; what maps memory gives back an error.
fn is_no_memory(error: &wasmtime::Error) -> bool {
    let is = |error: &std::io::Error| error.kind() == std::io::ErrorKind::OutOfMemory;
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(is)
            || cause.to_string().contains("allocate memory")
    })
}
