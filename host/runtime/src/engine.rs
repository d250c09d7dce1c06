//! The WebAssembly engine that all plugins share, with the components that are compiled for it, and the clock that interrupts
//! those that run too long.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::compiled::{Compilation, Compiled};
use super::pool::{Pool, TRIAL_PLACES, places};

/// How often running plugins are looked at. A deadline is met to within one tick, and a plugin that
/// computes lets others on its thread run that often. There may be a few such plugins on a thread, and what others do takes a
/// few turns.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// Elements in all tables of an instance. A table of this size takes 8 MB; real plugins have some
/// thousand functions in theirs.
pub(super) const TABLE_ELEMENTS: usize = 1_000_000;

/// Bytes that describe an instance: some dozen for each function.
const MAX_METADATA_BYTES: usize = 16 << 20;

/// Runs plugins and interrupts them.
#[derive(Clone)]
pub struct Engine {
    wasmtime: wasmtime::Engine,
    pool: Pool,
    /// Held while a plugin is tried.
    trial: Arc<Mutex<()>>,
    compiled: Compiled,
}

/// Compiled plugins cannot be kept.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "compiled plugins cannot be kept in {}: {reason}", directory.display()
)]
pub struct Uncached {
    /// In which directory.
    pub directory: PathBuf,
    /// What the system says.
    pub reason: String,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The cache directory is of no use.
    #[error(transparent)]
    Cache(#[from] Uncached),
    /// This machine cannot run WebAssembly.
    #[error("WebAssembly cannot be run here: {0:#}")]
    Wasmtime(wasmtime::Error),
    /// No thread for the clock.
    #[error("no thread can be started: {0}")]
    Thread(#[from] std::io::Error),
}

impl Engine {
    /// Returns an engine that compiles plugins in this process, and keeps what it compiled in `cache`, which is made if need be. Nothing
    /// limits the compilation of a plugin, so this is for plugins that are trusted; a host uses [`Engine::compiling`].
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn new(cache: &Path) -> Result<Self, EngineError> {
        Self::compiling(cache, Compilation::Here)
    }

    /// Returns an engine that has plugins compiled like this, and keeps what was compiled in `cache`, which is made if need be.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn compiling(cache: &Path, compilation: Compilation) -> Result<Self, EngineError> {
        Self::sized(cache, compilation, places([]))
    }

    /// Does the same with so many places for memories and tables of the plugins' instances: see [`places`].
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn sized(cache: &Path, compilation: Compilation, places: usize) -> Result<Self, EngineError> {
        let compiled = Compiled::new(cache, compilation)?;
        let mut config = compiler_config();
        config.allocation_strategy(pooling(places.saturating_add(TRIAL_PLACES)));
        // The pool reserves addresses, of which a machine may have few (`ulimit -v`); each instance then gets its own memory.
        let wasmtime = wasmtime::Engine::new(&config).or_else(|_| {
            config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
            wasmtime::Engine::new(&config).map_err(EngineError::Wasmtime)
        })?;
        let weak = wasmtime.weak();
        // A thread of its own: a task could wait behind the very plugin that is to be interrupted.
        std::thread::Builder::new().name("epoch".to_owned()).spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        })?;
        Ok(Self { wasmtime, pool: Pool::new(places), trial: Arc::default(), compiled })
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.wasmtime
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Waits for the places in which a plugin is tried. That takes no longer than others are tried, whose time is bounded.
    pub(super) fn trial(&self) -> MutexGuard<'_, ()> {
        self.trial.lock()
    }

    pub(super) fn compiled(&self) -> &Compiled {
        &self.compiled
    }
}

/// All that decides what native code is like. How memory is allocated does not.
pub(super) fn compiler_config() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config
}

/// Memories and tables that are reserved once and used again, which halves the time to start an instance. What is reserved takes
/// addresses, not memory.
///
/// Instances are only counted by the pool, and each has its limits by itself; an instance without a place is none.
fn pooling(places: usize) -> InstanceAllocationStrategy {
    let places = u32::try_from(places).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(u32::MAX)
        .total_core_instances(u32::MAX)
        .total_memories(places)
        .total_tables(places)
        .total_stacks(places)
        .max_memory_size(1 << 32)
        .table_elements(TABLE_ELEMENTS)
        .max_component_instance_size(MAX_METADATA_BYTES)
        .max_core_instance_size(MAX_METADATA_BYTES);
    InstanceAllocationStrategy::Pooling(pool)
}
