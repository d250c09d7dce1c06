//! Components as native code: compiled once, stored in a directory, and loaded from there.
//!
//! The host itself does not compile: [`Compilation::Child`] starts a child process with limited memory and time, which writes the native
//! code into the directory. The host maps it from there. So an untrusted component costs at most the limits, and its compilation leaves
//! nothing in the memory of the host.
//!
//! # Safety
//!
//! Native code is trusted, so it is loaded only from files that this module has written: see `directory.rs` for who may write there. A
//! file is written under another name, and renamed when it is complete. It is never changed after that, so that mapped code does not
//! change. Its name contains the SHA-256 of the component and a digest of all settings of the engine that matter; and wasmtime itself
//! refuses code of another version, for another processor, or for other settings.

mod child;
mod directory;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::{Duration, Instant};

use child::NotCompiled;
pub use child::{ChildCompiler, CompileLimits, compile_as_child};
use directory::{CompiledDirectory, PartialFile};
use wasmtime::component::Component;

use super::call::one_line;
use super::component_path::ComponentPath;
use super::engine::{EngineError, Uncached};
use super::features::unsupported;
use super::load_error::LoadError;

/// A compilation that takes longer than this is logged.
const LOGGED_AFTER: Duration = Duration::from_millis(500);

/// How components are compiled.
#[derive(Clone, Debug)]
pub enum Compilation {
    /// In this process, without limits: for trusted components, as in tests.
    Here,
    /// In a child process.
    Child(ChildCompiler),
}

/// The compiled components.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    directory: CompiledDirectory,
    compilation: Compilation,
}

/// A component to load.
pub(super) struct ComponentSource<'a> {
    /// The name of the plugin.
    pub(super) plugin: &'a str,
    pub(super) component: &'a ComponentPath,
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
            return Err(LoadError::Compile { component: source.component.clone(), reason });
        }
        // One compilation at a time. Another host may have compiled it meanwhile.
        let _turn = self.directory.turn(self.compilation.longest());
        if let Some(component) = self.open(engine, &name) {
            return Ok(component);
        }
        let unkept = |reason: String| LoadError::from(Uncached { directory: self.directory.path(), reason });
        let part = self.directory.part(&name);
        self.compile(engine, source, &part, &refusal)?;
        part.keep().map_err(|error| unkept(error.to_string()))?;
        self.directory.clean_up();
        self.open(engine, &name)
            .ok_or_else(|| unkept("the code that was just written there cannot be loaded".to_owned()))
    }

    /// Returns the component from the directory. None: it is not there, or cannot be used.
    fn open(&self, engine: &wasmtime::Engine, name: &str) -> Option<Component> {
        let file = self.directory.find(name)?;
        // SAFETY: this module has written the file, and nobody has changed it: see above.
        #[allow(unsafe_code, reason = "there is no safe way to load native code")]
        let mapped = unsafe { Component::deserialize_file(engine, &file) };
        // On a file system without programs (noexec), files cannot be mapped as code, but they can be copied.
        let component = mapped.or_else(|error| {
            let Ok(native) = std::fs::read(&file) else { return Err(error) };
            // SAFETY: as above.
            #[allow(unsafe_code, reason = "there is no safe way to load native code")]
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

    /// Compiles the component. A component over the limits is recorded as the `refusal`, so that its limits are used up only once.
    fn compile(
        &self,
        engine: &wasmtime::Engine,
        source: &ComponentSource<'_>,
        part: &PartialFile,
        refusal: &str,
    ) -> Result<(), LoadError> {
        let ComponentSource { plugin, bytes, .. } = source;
        let (component, started) = (source.component.clone(), Instant::now());
        tracing::info!(
            event = "plugin.compile_start",
            plugin,
            size_bytes = bytes.len(),
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
                Some(what) => LoadError::Unsupported { component, what },
                None => LoadError::Invalid { component, reason },
            }),
            Err(NotCompiled::Slow(reason)) => Err(LoadError::Compile { component, reason }),
            Err(NotCompiled::Limits(reason)) => {
                self.directory.refuse(refusal, &reason);
                Err(LoadError::Compile { component, reason })
            }
            Err(NotCompiled::Failed(reason)) => Err(LoadError::Compiler { component, reason }),
        }
    }
}

impl Compilation {
    /// Returns the limits that decide whether a component is refused, as a part of a file name.
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

/// Returns why the component is not valid.
fn invalid(error: &wasmtime::Error) -> NotCompiled {
    NotCompiled::Invalid(one_line(&error.root_cause().to_string()))
}
