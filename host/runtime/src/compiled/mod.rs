//! Components as native code: compiled once, kept in a directory, and loaded from there.
//!
//! The host does not compile: [`Compilation::Child`] has it done by a child process, which is limited in memory and time, and whose
//! memory is gone with it. It leaves the native code in the directory, and the host maps it from there. A component of a
//! stranger so costs what the limits say, and not the host.
//!
//! # Safety
//!
//! Native code that is loaded is trusted. It is loaded only from files that this room has written: see `directory.rs` for who may write
//! there. A file is written under another name, and gets its own when it is whole. Nothing is ever written into it after that, so what
//! is mapped does not change. Its name has the SHA-256 of the component in it, and a digest of all settings of the engine that matter;
//! and wasmtime itself refuses what another version of it made, or what was made for another processor or other settings.

mod child;
mod directory;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use child::NotCompiled;
pub use child::{ChildCompiler, CompileLimits, compile_as_child};
use directory::{CompiledDirectory, PartialFile};
use wasmtime::component::Component;

use super::call::one_line;
use super::engine::{EngineError, Uncached};
use super::features::unsupported;
use super::load_error::LoadError;

/// What takes longer than this to be compiled is worth a word.
const LOGGED_AFTER: Duration = Duration::from_millis(500);

/// Where components are compiled.
#[derive(Clone, Debug)]
pub enum Compilation {
    /// In this process, with nothing that limits it: for components that are trusted, as in tests.
    Here,
    /// In a child process.
    Child(ChildCompiler),
}

/// Components, compiled.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    directory: CompiledDirectory,
    compilation: Compilation,
}

/// A component that is to be loaded.
pub(super) struct ComponentSource<'a> {
    /// The name of the plugin.
    pub(super) plugin: &'a str,
    pub(super) path: &'a Path,
    pub(super) bytes: &'a [u8],
    /// The SHA-256 of the bytes.
    pub(super) digest: &'a str,
}

impl Compiled {
    pub(super) fn new(directory: &Path, compilation: Compilation) -> Result<Self, EngineError> {
        Ok(Self { directory: CompiledDirectory::open(directory)?, compilation })
    }

    /// Loads the component from the directory, or compiles it if it is not there.
    pub(super) fn load(
        &self,
        engine: &wasmtime::Engine,
        source: &ComponentSource<'_>,
    ) -> Result<Component, LoadError> {
        let mut settings = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut settings);
        let name = format!("{}-{:016x}", source.digest, settings.finish());
        if let Some(component) = self.open(engine, &name) {
            return Ok(component);
        }
        let refusal = format!("{name}-{}", self.compilation.bounds());
        if let Some(reason) = self.directory.refused(&refusal) {
            return Err(LoadError::Compile { path: source.path.to_owned(), reason });
        }
        // One at a time. Another host may have compiled it meanwhile.
        let _turn = self.directory.turn(self.compilation.longest());
        if let Some(component) = self.open(engine, &name) {
            return Ok(component);
        }
        let unkept = |reason: String| LoadError::from(Uncached { directory: self.directory.path(), reason });
        let part = self.directory.part(&name);
        self.compile(engine, source, &part, &refusal)?;
        part.keep().map_err(|error| unkept(error.to_string()))?;
        self.directory.tidy();
        self.open(engine, &name)
            .ok_or_else(|| unkept("what was just written there cannot be loaded".to_owned()))
    }

    /// Nothing where it is not there, or is of no use.
    fn open(&self, engine: &wasmtime::Engine, name: &str) -> Option<Component> {
        let file = self.directory.find(name)?;
        // SAFETY: the file is as this room has written it: see above.
        #[allow(unsafe_code, reason = "native code can be loaded in no other way")]
        let mapped = unsafe { Component::deserialize_file(engine, &file) };
        // Where a file system may hold no programs (noexec), its files cannot be mapped as code, but copied.
        let component = mapped.or_else(|error| {
            let Ok(native) = std::fs::read(&file) else { return Err(error) };
            // SAFETY: as above.
            #[allow(unsafe_code, reason = "native code can be loaded in no other way")]
            unsafe {
                Component::deserialize(engine, native)
            }
        });
        component
            .inspect_err(|error| {
                tracing::warn!(
                    event = "cache.discard", path = %file.display(), error = format!("{error:#}"),
                    "a compiled plugin cannot be used; compiling it again"
                )
            })
            .ok()
    }

    /// What takes too much is noted as the `refusal`, so that it takes that once.
    fn compile(
        &self,
        engine: &wasmtime::Engine,
        source: &ComponentSource<'_>,
        part: &PartialFile,
        refusal: &str,
    ) -> Result<(), LoadError> {
        let ComponentSource { plugin, bytes, .. } = source;
        let (path, started) = (source.path.to_owned(), Instant::now());
        let size = ByteSize::b(u64::try_from(bytes.len()).unwrap_or(u64::MAX)).display().iec();
        tracing::info!(
            event = "plugin.compile_start", plugin, size = %size,
            "compiling; a large plugin takes up to a minute"
        );
        let compiled = match &self.compilation {
            Compilation::Here => compile_here(engine, bytes, part),
            Compilation::Child(compiler) => compiler.compile(bytes, part.path()),
        };
        match compiled {
            Ok(()) => {
                if started.elapsed() >= LOGGED_AFTER {
                    tracing::info!(
                        event = "plugin.compile",
                        plugin,
                        elapsed_ms = started.elapsed().as_millis(),
                        "compiled"
                    );
                }
                Ok(())
            }
            Err(NotCompiled::Invalid(reason)) => Err(match unsupported(bytes) {
                Some(what) => LoadError::Unsupported { path, what },
                None => LoadError::Invalid { path, reason },
            }),
            Err(NotCompiled::Slow(reason)) => Err(LoadError::Compile { path, reason }),
            Err(NotCompiled::Limits(reason)) => {
                self.directory.refuse(refusal, &reason);
                Err(LoadError::Compile { path, reason })
            }
            Err(NotCompiled::Failed(reason)) => Err(LoadError::Compiler { path, reason }),
        }
    }
}

impl Compilation {
    /// Returns what decides whether a component is too much, in the name of a file.
    fn bounds(&self) -> String {
        match self {
            Self::Here => String::new(),
            Self::Child(ChildCompiler { limits, .. }) => {
                format!("{}-{}", limits.memory, limits.processor_time.as_secs())
            }
        }
    }

    /// Returns how long one compilation may take.
    fn longest(&self) -> Duration {
        match self {
            Self::Here => CompileLimits::default().time,
            Self::Child(compiler) => compiler.limits.time,
        }
    }
}

fn compile_here(engine: &wasmtime::Engine, bytes: &[u8], part: &PartialFile) -> Result<(), NotCompiled> {
    let native = engine.precompile_component(bytes).map_err(|error| invalid(&error))?;
    directory::write(part.path(), &native).map_err(|error| NotCompiled::Failed(error.to_string()))
}

/// Returns what is wrong with the component.
fn invalid(error: &wasmtime::Error) -> NotCompiled {
    NotCompiled::Invalid(one_line(&error.root_cause().to_string()))
}
