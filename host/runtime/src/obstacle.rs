//! What is in the way of a plugin, whatever op it handles: a missing grant, or a server that is not set up.
//!
//! No attempt mends that, so a call that failed in such a way is not counted as one. An instance notes what it met in [`Notes`], which
//! outlive it: the handler asks them after a call that trapped, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::capabilities::{COUNT, CapabilityId};

/// What was in the way of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// What it is, and what to do about it.
    pub reason: String,
    /// Only one server or namespace is in the way, which the op may have named. Then this is how many ops the plugin has handled so
    /// far by the same capability: if that grows, the plugin works, and this op does not.
    pub handled: Option<u64>,
}

/// What a call met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetObstacle {
    /// What was in its way, if anything was.
    pub obstacle: Option<Obstacle>,
    /// An answer that the plugin got was made up, as what it wanted done was only taken down. What it says of its op may come of that.
    pub made_up: bool,
    /// Nothing that the plugin wants done is done.
    pub is_dry: bool,
}

/// How many ops were handled by each capability, over all instances and versions of a plugin.
#[derive(Debug, Default)]
pub(super) struct HandledCounts([AtomicU64; COUNT]);

impl HandledCounts {
    /// Returns the count of a capability.
    fn of(&self, capability: CapabilityId) -> u64 {
        self.0.get(capability as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

/// What an instance met in the call in hand.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    /// The first obstacle, and of what it is a part.
    obstacle: Option<(String, Option<CapabilityId>)>,
    /// By capability, whether the plugin used what it is granted of it.
    used: [bool; COUNT],
    made_up: bool,
}

impl Notes {
    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock()
    }

    /// Forgets what the call before met.
    pub(super) fn clear(&self) {
        *self.lock() = Noted::default();
    }

    /// Notes that something is in the way; `part`: only of one server or namespace. Returns the reason.
    pub(super) fn blocked(&self, reason: String, part: Option<CapabilityId>) -> String {
        self.lock().obstacle.get_or_insert_with(|| (reason.clone(), part));
        reason
    }

    /// Notes that the plugin may do what it asked for.
    pub(super) fn permitted(&self, part: CapabilityId) {
        if let Some(used) = self.lock().used.get_mut(part as usize) {
            *used = true;
        }
    }

    /// Notes that the plugin gets an answer that no server gave.
    pub(super) fn made_up(&self) {
        self.lock().made_up = true;
    }

    /// Returns what the call met; `handled` by the plugin so far.
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
        let (notes, handled) = (Notes::default(), HandledCounts::default());
        assert_eq!(notes.met(&handled), MetObstacle::default());
        notes.blocked("no grant".to_owned(), None);
        notes.blocked("no server".to_owned(), Some(CapabilityId::Http));
        let obstacle = Obstacle { reason: "no grant".to_owned(), handled: None };
        assert_eq!(notes.met(&handled).obstacle, Some(obstacle));
        notes.clear();
        assert_eq!(notes.met(&handled), MetObstacle::default());
    }

    #[test]
    fn of_a_part_it_is_known_how_many_ops_were_handled_by_the_rest() {
        let (notes, handled) = (Notes::default(), HandledCounts::default());
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
