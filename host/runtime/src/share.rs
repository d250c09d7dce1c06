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

    /// Reserves more places if an instance of a new version takes `each`, and one of those before takes fewer. Instances of these may exist for
    /// a while, so this never reserves fewer. If there are too few places, nothing changes.
    pub(super) fn fit(&self, each: usize) -> Result<(), PoolFull> {
        self.0.lock().fit(each, 0)
    }
}

impl ShareState {
    /// If there are too few places, nothing changes.
    fn change(&mut self, each: usize, instances: usize) -> Result<(), PoolFull> {
        self.reserved.resize(each.saturating_mul(instances))?;
        (self.each, self.instances) = (each, instances);
        Ok(())
    }

    /// Fits the places of each instance to a new version, and adds instances.
    fn fit(&mut self, each: usize, more: usize) -> Result<(), PoolFull> {
        let before = if self.instances > 0 { self.each } else { 0 };
        self.change(each.max(before), self.instances.saturating_add(more))
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

    /// Does the same as [`ComponentShare::fit`], and reserves places for at least this many instances.
    pub(super) fn fit(&mut self, each: usize, instances: usize) -> Result<(), PoolFull> {
        let more = instances.saturating_sub(self.instances);
        self.share.0.lock().fit(each, more)?;
        self.instances += more;
        Ok(())
    }

    /// Changes the number of instances of the only seat while there is none, each of which takes `each` places from now on.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::Pool;

    #[test]
    fn a_version_without_enough_places_changes_nothing() {
        let pool = Pool::new(10);
        let state = ShareState { reserved: pool.reserve_none(), each: 1, instances: 0 };
        let share = Arc::new(ComponentShare(Mutex::new(state)));
        let mut seat = share.take_seat(3).unwrap();
        let now = || {
            let state = share.0.lock();
            (state.each, state.instances)
        };
        // Its instances would fit, and the one more that it has would not.
        assert!(seat.fit(3, 4).is_err());
        assert_eq!(now(), (1, 3));
        seat.fit(3, 3).unwrap();
        assert_eq!(now(), (3, 3));
        seat.fit(1, 2).unwrap();
        assert_eq!(now(), (3, 3), "instances of the version before may exist");
        drop(seat);
        share.take_seat(3).unwrap().resize(1).unwrap();
        pool.reserve_none().resize(10).unwrap();
    }
}
