//! Places for the instances of all plugins: memories and tables, which wasmtime reserves once, as many as the host's plugins need when
//! it starts.
//!
//! Each plugin reserves the places that all its instances need at the same time, so that no plugin takes those of another. A plugin
//! that needs more than are left does not run. An instance without a reservation waits for a place. Plugins are tried in places of their
//! own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use wasmparser::{Parser, Payload};
use wasmtime::component::Component;

use super::limits::{MAX_FILE_BYTES, MAX_INSTANCES};
use super::setup::ComponentKind;
use super::timer::MAX_TIMERS;

/// Places in addition to those of the plugins at the start: for plugins that are added later, and for versions that need more places.
const SPARE_PLACES: usize = 1000;
/// Places for the one instance in which a plugin is tried: the most that an instance may take.
pub(super) const TRIAL_PLACES: usize = MAX_INSTANCES;
/// The name under which a component exports its timers, of any version.
const SCHEDULE: &str = "gtm:plugin/schedule@";
/// Places of all plugins. With 6 GiB of addresses per memory, they take half of the address space of a 64-bit machine.
const MAX_PLACES: usize = 10_000 - TRIAL_PLACES;

/// The places of an engine. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Pool(Arc<Places>);

#[derive(Debug)]
struct Places {
    all: usize,
    reserved: AtomicUsize,
    /// By instances.
    taken: AtomicUsize,
}

/// The places of an instance, until this is dropped.
#[derive(Debug)]
pub(super) struct HeldPlaces {
    pool: Pool,
    count: usize,
}

/// The reserved places of a plugin, until this is dropped.
#[derive(Debug)]
pub(super) struct ReservedPlaces {
    pool: Pool,
    count: usize,
}

/// There are too few places.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} need {needed} places for memories and tables, and {left} of the host's {all} are left. help: {}", whose(filter), help(*all)
)]
pub struct PoolFull {
    /// The filter whose instances need the places. None: the component itself.
    filter: Option<String>,
    needed: usize,
    left: usize,
    all: usize,
}

impl PoolFull {
    /// Returns the error of a plugin in whose chain this is the error of a filter.
    pub(super) fn in_filter(self, filter: &str) -> Self {
        Self { filter: Some(filter.to_owned()), ..self }
    }
}

fn whose(filter: &Option<String>) -> String {
    match filter {
        Some(filter) => format!("the instances of the filter {filter} in all its plugins"),
        None => "its instances".to_owned(),
    }
}

/// Returns the remedy if this many places are too few.
fn help(all: usize) -> &'static str {
    if all < MAX_PLACES {
        "restart the host, which then makes as many as its plugins need, or give plugins fewer lanes"
    } else {
        "give plugins fewer lanes, or run some of them in another host: this one has as many places as a host can have"
    }
}

/// Returns how many places an engine needs for these components: the file of each, what it is for, and the number of lanes of the plugin.
pub fn places<'a>(components: impl IntoIterator<Item = (&'a Path, ComponentKind, usize)>) -> usize {
    let needed = components.into_iter().map(|(path, kind, lanes)| {
        let FilePlaces { each, timers } = FilePlaces::of(path);
        each.saturating_mul(instances(kind, lanes).saturating_add(timers))
    });
    needed.fold(SPARE_PLACES, usize::saturating_add).min(MAX_PLACES)
}

/// Returns how many instances of a component a plugin with this many lanes has at the same time: one that filters, and for each lane one
/// that repeats a failed filter, and one that handles unless it is a filter.
pub(super) fn instances(kind: ComponentKind, lanes: usize) -> usize {
    let per_lane = match kind {
        ComponentKind::Plugin => 2,
        ComponentKind::Filter => 1,
    };
    1 + lanes.saturating_mul(per_lane)
}

/// Returns the places of an instance of a component.
pub(super) fn of(component: &Component) -> usize {
    component.resources_required().map_or(MAX_INSTANCES, |needed| {
        let count = needed.num_memories.max(needed.num_tables);
        usize::try_from(count).unwrap_or(MAX_INSTANCES).max(1)
    })
}

/// The places of a component by its file, before there is an engine to load it.
#[derive(Debug, PartialEq, Eq)]
struct FilePlaces {
    /// The places of one instance.
    each: usize,
    /// The maximum number of its timers, which it declares only when it runs: each has an instance of its own while it ticks.
    timers: usize,
}

impl FilePlaces {
    /// Counts the places of the component in this file. An invalid file is reported when it is loaded.
    fn of(path: &Path) -> Self {
        let is_small = std::fs::metadata(path)
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MAX_FILE_BYTES);
        let bytes = is_small.then(|| std::fs::read(path).ok()).flatten().unwrap_or_default();
        let (mut memories, mut tables, mut timers) = (0_u32, 0_u32, 0);
        for payload in Parser::new(0).parse_all(&bytes).map_while(Result::ok) {
            match payload {
                Payload::MemorySection(section) => memories = section.count().saturating_add(memories),
                Payload::TableSection(section) => tables = section.count().saturating_add(tables),
                Payload::ComponentExportSection(section) => {
                    let mut names = section.into_iter().map_while(Result::ok).map(|export| export.name.name);
                    if names.any(|name| name.starts_with(SCHEDULE)) {
                        timers = MAX_TIMERS;
                    }
                }
                _ => {}
            }
        }
        let each = usize::try_from(memories.max(tables)).unwrap_or(MAX_INSTANCES).clamp(1, MAX_INSTANCES);
        Self { each, timers }
    }
}

impl Pool {
    pub(super) fn new(places: usize) -> Self {
        Self(Arc::new(Places { all: places, reserved: 0.into(), taken: 0.into() }))
    }

    /// Takes this many places for an instance. None: not enough are free now.
    pub(super) fn take(&self, count: usize) -> Option<HeldPlaces> {
        let Places { all, taken, .. } = &*self.0;
        let more = |taken: usize| taken.checked_add(count).filter(|taken| taken <= all);
        taken.try_update(Relaxed, Relaxed, more).ok()?;
        Some(HeldPlaces { pool: self.clone(), count })
    }

    /// Returns a reservation of no places.
    pub(super) fn reserve_none(&self) -> ReservedPlaces {
        ReservedPlaces { pool: self.clone(), count: 0 }
    }
}

impl ReservedPlaces {
    /// Changes the reservation to this many places. If there are too few, it stays unchanged.
    pub(super) fn resize(&mut self, count: usize) -> Result<(), PoolFull> {
        let Places { all, reserved, .. } = &*self.pool.0;
        let others = |reserved: usize| reserved.saturating_sub(self.count);
        let changed = reserved.try_update(Relaxed, Relaxed, |reserved| {
            others(reserved).checked_add(count).filter(|reserved| reserved <= all || count <= self.count)
        });
        match changed {
            Ok(_) => {
                self.count = count;
                Ok(())
            }
            Err(reserved) => {
                let left = all.saturating_sub(others(reserved));
                Err(PoolFull { filter: None, needed: count, left, all: *all })
            }
        }
    }
}

impl Drop for HeldPlaces {
    fn drop(&mut self) {
        self.pool.0.taken.fetch_sub(self.count, Relaxed);
    }
}

impl Drop for ReservedPlaces {
    fn drop(&mut self) {
        self.pool.0.reserved.fetch_sub(self.count, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserve(pool: &Pool, count: usize) -> Result<ReservedPlaces, PoolFull> {
        let mut reserved = pool.reserve_none();
        reserved.resize(count)?;
        Ok(reserved)
    }

    #[test]
    fn each_plugin_reserves_its_own_places() {
        let pool = Pool::new(100);
        let mut one = reserve(&pool, 60).unwrap();
        let said = reserve(&pool, 41).unwrap_err().to_string();
        assert!(
            said.starts_with(
                "its instances need 41 places for memories and tables, and 40 of the host's 100"
            ),
            "{said}"
        );
        let other = reserve(&pool, 40).unwrap();
        assert!(one.resize(61).is_err());
        assert_eq!(one.count, 60);
        drop(other);
        one.resize(100).unwrap();
        one.resize(1).unwrap();
        reserve(&pool, 99).unwrap();
        assert_eq!(reserve(&pool, usize::MAX).unwrap_err().left, 99);
    }

    #[test]
    fn a_restart_is_advised_if_it_helps() {
        let said = |all| reserve(&Pool::new(all), all + 1).unwrap_err().to_string();
        assert!(said(MAX_PLACES - 1).contains("help: restart the host"), "{}", said(MAX_PLACES - 1));
        assert!(
            said(MAX_PLACES).contains("help: give plugins fewer lanes, or run some of them in another host")
        );
    }

    #[test]
    fn instances_take_places_until_none_is_left() {
        let pool = Pool::new(3);
        let two = pool.take(2).unwrap();
        assert!(pool.take(2).is_none());
        let _one = pool.take(1).unwrap();
        assert!(pool.take(1).is_none());
        drop(two);
        assert!(pool.take(2).is_some());
        assert!(pool.take(usize::MAX).is_none());
    }

    /// Each section claims to have 4,294,967,295 memories or tables.
    #[test]
    fn false_counts_in_a_file_are_harmless() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.wasm");
        for section in [5, 4] {
            let mut bytes = b"\0asm\x01\0\0\0".to_vec();
            for _ in 0..2 {
                bytes.extend([section, 5, 0xff, 0xff, 0xff, 0xff, 0x0f]);
            }
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(FilePlaces::of(&path).each, MAX_INSTANCES, "section {section}");
        }
    }

    #[test]
    fn each_timer_that_a_plugin_may_have_gets_places() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.wasm");
        let write = |export: &str| {
            let instance =
                format!("(instance $empty) (export \"gtm:plugin/{export}@0.2.0\" (instance $empty))");
            let component = format!(
                "(component (core module (memory 1) (table 1 funcref) (table 1 funcref)) {instance})"
            );
            std::fs::write(&path, wat::parse_str(component).unwrap()).unwrap();
        };
        let needed = || places([(&*path, ComponentKind::Plugin, 4)]);
        write("handler");
        assert_eq!(needed(), SPARE_PLACES + 2 * 9);
        write("schedule");
        assert_eq!(needed(), SPARE_PLACES + 2 * (9 + MAX_TIMERS));
    }

    #[test]
    fn places_are_counted_from_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.wasm");
        let tables = "(table 1 funcref)".repeat(7);
        std::fs::write(
            &path,
            wat::parse_str(format!("(component (core module (memory 1) {tables}))")).unwrap(),
        )
        .unwrap();
        let plugin = |path, lanes| (path, ComponentKind::Plugin, lanes);
        assert_eq!(places([plugin(&*path, 4)]), SPARE_PLACES + 7 * 9);
        assert_eq!(places([plugin(Path::new("/nowhere"), 4), plugin(&*path, 1)]), SPARE_PLACES + 9 + 7 * 3);
        assert_eq!(places([(&*path, ComponentKind::Filter, 4)]), SPARE_PLACES + 7 * 5);
        assert_eq!(places((0..1000).map(|_| plugin(&*path, 4))), MAX_PLACES);
    }
}
