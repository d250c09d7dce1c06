//! The WebAssembly engine that all plugins share: compiler, cache of compiled components, and the
//! clock that interrupts those that run too long.

use std::path::{Path, PathBuf};
use std::time::Duration;

use wasmtime::{Cache, CacheConfig, Config, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How often running plugins are looked at. A deadline is met to within one tick, and a plugin that
/// computes lets others on its thread run that often. There may be a few such plugins on a thread, and what others do takes a
/// few turns.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// Elements in all tables of an instance. A table of this size takes 8 MB; real plugins have some
/// thousand functions in theirs.
pub(super) const TABLE_ELEMENTS: usize = 1_000_000;

/// Instances of components at once: a filter and some lanes of each of a hundred plugins.
const COMPONENTS: u32 = 1000;
/// Modules, memories and tables in them: one each, but for languages whose runtime is made of shared libraries. At 6 GiB of
/// addresses for each memory, this takes a tenth of what a 64-bit machine has.
const SLOTS: u32 = 2000;
/// Bytes that describe an instance: some dozen for each function.
const METADATA: usize = 16 << 20;

/// Compiles plugins and interrupts them.
#[derive(Clone)]
pub struct Engine {
    wasmtime: wasmtime::Engine,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The cache directory is of no use.
    #[error("compiled plugins cannot be kept in {}: {reason}. Name another directory with --cache-dir", directory.display())]
    Cache {
        /// Which directory.
        directory: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// This machine cannot run WebAssembly.
    #[error("WebAssembly cannot be run here: {0:#}")]
    Wasmtime(wasmtime::Error),
    /// No thread for the clock.
    #[error("no thread can be started: {0}")]
    Thread(#[from] std::io::Error),
}

impl Engine {
    /// An engine that keeps compiled plugins in `cache`, which is made if need be.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn new(cache: &Path) -> Result<Self, EngineError> {
        let mut config = Config::new();
        config.epoch_interruption(true);
        config.cache(Some(open_cache(cache)?));
        config.allocation_strategy(pool());
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
        Ok(Self { wasmtime })
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.wasmtime
    }
}

/// Memories and tables that are reserved once and used again, which halves the time to start an instance. What is reserved takes
/// addresses, not memory.
fn pool() -> InstanceAllocationStrategy {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(COMPONENTS)
        .total_core_instances(SLOTS)
        .total_memories(SLOTS)
        .total_tables(SLOTS)
        .total_stacks(COMPONENTS)
        .max_memory_size(1 << 32)
        .table_elements(TABLE_ELEMENTS)
        .max_component_instance_size(METADATA)
        .max_core_instance_size(METADATA);
    InstanceAllocationStrategy::Pooling(pool)
}

fn open_cache(directory: &Path) -> Result<Cache, EngineError> {
    let failed = |reason: String| EngineError::Cache { directory: directory.to_owned(), reason };
    std::fs::create_dir_all(directory).map_err(|error| failed(error.to_string()))?;
    let directory = directory.canonicalize().map_err(|error| failed(error.to_string()))?;
    let mut config = CacheConfig::new();
    config.with_directory(&directory);
    Cache::new(config).map_err(|error| failed(format!("{error:#}")))
}
