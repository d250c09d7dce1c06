//! Obstacles that do not depend on the op: a missing grant, or a server that is not configured.
//!
//! No retry helps, so a call that failed because of an obstacle is not counted as an attempt. An instance records its obstacles in
//! [`CallNotes`], which outlive it: the handler reads them after a call that trapped, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::capabilities::{COUNT, CapabilityId};

/// Something that kept a call from working.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The sentence, with the remedy.
    pub reason: String,
    /// Some if only one server or namespace is refused, which the op may have named: the number of ops that the plugin has handled so far
    /// with the same capability. If that grows, the plugin works, and only this op does not.
    pub handled: Option<u64>,
}

/// What the host recorded during a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetObstacle {
    /// The first obstacle, if there was one.
    pub obstacle: Option<Obstacle>,
    /// Whether the plugin got a made-up answer, as its effect was only recorded. Its outcome may depend on that.
    pub made_up: bool,
    /// Whether effects are only recorded.
    pub is_dry: bool,
}

/// The number of ops handled with each capability, over all instances and versions of a plugin.
#[derive(Debug, Default)]
pub(super) struct HandledCounts([AtomicU64; COUNT]);

impl HandledCounts {
    /// Returns the count of a capability.
    fn of(&self, capability: CapabilityId) -> u64 {
        self.0.get(capability as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

/// What an instance records during the current call.
#[derive(Clone, Debug, Default)]
pub(super) struct CallNotes(Arc<Mutex<CallRecord>>);

#[derive(Debug, Default)]
struct CallRecord {
    /// The first obstacle, and the capability if only a part of it is refused.
    obstacle: Option<(String, Option<CapabilityId>)>,
    /// For each capability, whether the plugin used what it is granted.
    used: [bool; COUNT],
    made_up: bool,
}

impl CallNotes {
    fn lock(&self) -> MutexGuard<'_, CallRecord> {
        self.0.lock()
    }

    /// Forgets the previous call.
    pub(super) fn clear(&self) {
        *self.lock() = CallRecord::default();
    }

    /// Records an obstacle and returns its sentence. `part`: only one server or namespace of this capability is refused.
    pub(super) fn blocked(&self, reason: String, part: Option<CapabilityId>) -> String {
        self.lock().obstacle.get_or_insert_with(|| (reason.clone(), part));
        reason
    }

    /// Records that the plugin used what it is granted.
    pub(super) fn permitted(&self, part: CapabilityId) {
        if let Some(used) = self.lock().used.get_mut(part as usize) {
            *used = true;
        }
    }

    /// Records that the plugin gets a made-up answer.
    pub(super) fn made_up(&self) {
        self.lock().made_up = true;
    }

    /// Returns what was recorded during the call. `handled`: the ops that the plugin has handled so far.
    pub(super) fn met(&self, handled: &HandledCounts) -> MetObstacle {
        let noted = self.lock();
        let obstacle = noted
            .obstacle
            .clone()
            .map(|(reason, part)| Obstacle { reason, handled: part.map(|part| handled.of(part)) });
        MetObstacle { obstacle, made_up: noted.made_up, is_dry: false }
    }

    /// Counts a call that handled its op.
    pub(super) fn count(&self, handled: &HandledCounts) {
        for (count, used) in handled.0.iter().zip(self.lock().used) {
            if used {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_obstacle_of_a_call_is_kept_until_the_next_call() {
        let (notes, handled) = (CallNotes::default(), HandledCounts::default());
        assert_eq!(notes.met(&handled), MetObstacle::default());
        notes.blocked("no grant".to_owned(), None);
        notes.blocked("no server".to_owned(), Some(CapabilityId::Http));
        let obstacle = Obstacle { reason: "no grant".to_owned(), handled: None };
        assert_eq!(notes.met(&handled).obstacle, Some(obstacle));
        notes.clear();
        assert_eq!(notes.met(&handled), MetObstacle::default());
    }

    #[test]
    fn an_obstacle_in_a_part_has_the_count_of_handled_ops() {
        let (notes, handled) = (CallNotes::default(), HandledCounts::default());
        notes.permitted(CapabilityId::Http);
        notes.count(&handled);
        notes.clear();
        for (part, count) in [(CapabilityId::Http, 1), (CapabilityId::Mongodb, 0)] {
            notes.clear();
            notes.blocked("there".to_owned(), Some(part));
            assert_eq!(notes.met(&handled).obstacle.unwrap().handled, Some(count));
        }
    }
}
