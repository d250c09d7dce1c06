//! The WebAssembly engine that all plugins share, with its compiled components and the clock that interrupts long calls.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::compiled::{Compilation, Compiled};
use super::pool::{Pool, TRIAL_PLACES, places};

/// The interval at which running plugins are interrupted. A deadline is met to within one tick, and a plugin that computes lets other
/// work on its thread run this often.
pub(super) const EPOCH_INTERVAL: Duration = Duration::from_millis(1);

/// Elements in all tables of an instance. A table of this size takes 8 MB; the tables of real plugins have some thousand functions.
pub(super) const TABLE_ELEMENTS: usize = 1_000_000;

/// Bytes of metadata of an instance: a few dozen for each function.
const MAX_METADATA_BYTES: usize = 16 << 20;

/// Runs plugins and interrupts them.
#[derive(Clone)]
pub struct Engine {
    wasmtime: wasmtime::Engine,
    pool: Pool,
    /// Held while a plugin is tried before it is used.
    trial: Arc<Mutex<()>>,
    compiled: Compiled,
}

/// Compiled plugins cannot be stored in the cache.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "compiled plugins cannot be kept in {}: {reason}", directory.display()
)]
pub struct Uncached {
    /// The directory of the cache.
    pub directory: PathBuf,
    /// The error of the system.
    pub reason: String,
}

/// Why an engine cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] Uncached),
    /// This machine cannot run WebAssembly.
    #[error("WebAssembly cannot be run here: {0:#}")]
    Wasmtime(wasmtime::Error),
    /// The thread of the clock cannot be started.
    #[error("no thread can be started: {0}")]
    Thread(#[from] std::io::Error),
}

impl Engine {
    /// Returns an engine that compiles plugins in this process and stores the native code in the directory `cache`, which is made if
    /// necessary. Nothing limits the compilation, so this is for trusted plugins; a host uses [`Engine::compiling`].
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn new(cache: &Path) -> Result<Self, EngineError> {
        Self::compiling(cache, Compilation::Here)
    }

    /// Returns an engine that compiles plugins as `compilation` says and stores the native code in the directory `cache`, which is made if
    /// necessary.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn compiling(cache: &Path, compilation: Compilation) -> Result<Self, EngineError> {
        Self::sized(cache, compilation, places([]))
    }

    /// Does the same with this many places for memories and tables of the plugins' instances: see [`places`].
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn sized(cache: &Path, compilation: Compilation, places: usize) -> Result<Self, EngineError> {
        let compiled = Compiled::new(cache, compilation)?;
        let mut config = compiler_config();
        config.allocation_strategy(pooling(places.saturating_add(TRIAL_PLACES)));
        // The pool reserves addresses, which may be limited (`ulimit -v`). Without it, each instance allocates its own memory.
        let wasmtime = wasmtime::Engine::new(&config).or_else(|_| {
            config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
            wasmtime::Engine::new(&config).map_err(EngineError::Wasmtime)
        })?;
        let weak = wasmtime.weak();
        // A thread of its own: a task could wait behind the plugin that it is to interrupt.
        std::thread::Builder::new().name("epoch".to_owned()).spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(EPOCH_INTERVAL);
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

    /// Waits for the places in which a plugin is tried. Each trial has a time limit, so the wait is bounded.
    pub(super) fn trial(&self) -> MutexGuard<'_, ()> {
        self.trial.lock()
    }

    pub(super) fn compiled(&self) -> &Compiled {
        &self.compiled
    }
}

/// Returns all settings that affect native code. How memory is allocated does not.
pub(super) fn compiler_config() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config
}

/// Returns a strategy that reserves memories and tables once and reuses them, which halves the time to start an instance. The
/// reservation takes addresses, not memory.
///
/// The pool only counts instances; each instance has its own limits.
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
