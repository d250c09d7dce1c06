//! The places that are reserved for the instances of one component.
//!
//! Each plugin that makes instances of the component has a [`Seat`] for them: the plugin itself, or the plugins that share it as a filter.
//! A new version that needs more places is refused unless all seats can have them.

use std::sync::Arc;

use parking_lot::Mutex;

use super::component::Plugin;
use super::pool::{PoolFull, ReservedPlaces};

/// The reserved places of a component.
#[derive(Debug)]
pub(super) struct ComponentShare(Mutex<ShareState>);

#[derive(Debug)]
struct ShareState {
    reserved: ReservedPlaces,
    /// The places of one instance.
    each: usize,
    /// The instances of all seats.
    instances: usize,
}

/// The places for the instances that one plugin makes of a component, until this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    share: Arc<ComponentShare>,
    instances: usize,
}

impl ComponentShare {
    pub(super) fn new(plugin: &Plugin) -> Arc<Self> {
        let (each, pool) = plugin.places();
        Arc::new(Self(Mutex::new(ShareState { reserved: pool.reserve_none(), each, instances: 0 })))
    }

    /// Reserves places for this many instances.
    pub(super) fn take_seat(self: &Arc<Self>, instances: usize) -> Result<Seat, PoolFull> {
        let mut seat = Seat { share: Arc::clone(self), instances: 0 };
        seat.resize(instances)?;
        Ok(seat)
    }

    /// Reserves more places if an instance of the new version takes more than one of those before. Instances of these may exist for a while,
    /// so this never reserves fewer.
    pub(super) fn fit(&self, plugin: &Plugin) -> Result<(), PoolFull> {
        let state = &mut *self.0.lock();
        let before = if state.instances > 0 { state.each } else { 0 };
        state.change(plugin.places().0.max(before), state.instances)
    }
}

impl ShareState {
    /// If there are too few places, nothing changes.
    fn change(&mut self, each: usize, instances: usize) -> Result<(), PoolFull> {
        self.reserved.resize(each.saturating_mul(instances))?;
        (self.each, self.instances) = (each, instances);
        Ok(())
    }
}

impl Seat {
    /// Changes the number of instances. If there are too few places, it stays unchanged.
    pub(super) fn resize(&mut self, instances: usize) -> Result<(), PoolFull> {
        let state = &mut *self.share.0.lock();
        state.change(state.each, state.instances.saturating_sub(self.instances).saturating_add(instances))?;
        self.instances = instances;
        Ok(())
    }

    /// Does the same for the only seat of a component while it has no instance, each of which takes `each` places from now on.
    pub(super) fn renew(&mut self, each: usize, instances: usize) -> Result<(), PoolFull> {
        self.share.0.lock().change(each, instances)?;
        self.instances = instances;
        Ok(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // It cannot fail: it never reserves more.
        let _ = self.resize(0);
    }
}
