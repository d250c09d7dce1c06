//! What is in the way of a plugin, whatever op it handles: a missing grant, or a server that is not set up.
//!
//! No attempt mends that, so a call that failed in such a way is not counted as one. An instance notes what it met in [`Notes`], which
//! outlive it: the handler asks them after a call that trapped, too.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// Capabilities of which a plugin may be granted a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartialCapability {
    /// Some servers.
    Http,
    /// Some namespaces.
    Mongodb,
    /// Some addresses.
    Mail,
}

/// How many ops were handled by each of these capabilities, over all instances and versions of a plugin.
#[derive(Debug, Default)]
pub(super) struct HandledCounts([AtomicU64; 3]);

impl HandledCounts {
    fn of(&self, part: PartialCapability) -> &AtomicU64 {
        let [http, mongodb, mail] = &self.0;
        match part {
            PartialCapability::Http => http,
            PartialCapability::Mongodb => mongodb,
            PartialCapability::Mail => mail,
        }
    }
}

/// What an instance met in the call in hand.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    /// The first obstacle, and of what it is a part.
    obstacle: Option<(String, Option<PartialCapability>)>,
    http: bool,
    mongodb: bool,
    mail: bool,
    made_up: bool,
}

impl Notes {
    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call begins.
    pub(super) fn clear(&self) {
        *self.lock() = Noted::default();
    }

    /// Something is in the way; `part`: only of one server or namespace. Gives back the reason.
    pub(super) fn blocked(&self, reason: String, part: Option<PartialCapability>) -> String {
        self.lock().obstacle.get_or_insert_with(|| (reason.clone(), part));
        reason
    }

    /// The plugin may do what it asked for.
    pub(super) fn permitted(&self, part: PartialCapability) {
        let mut met = self.lock();
        match part {
            PartialCapability::Http => met.http = true,
            PartialCapability::Mongodb => met.mongodb = true,
            PartialCapability::Mail => met.mail = true,
        }
    }

    /// The plugin is given an answer that nobody gave.
    pub(super) fn made_up(&self) {
        self.lock().made_up = true;
    }

    /// What the call met; `handled` by the plugin so far.
    pub(super) fn met(&self, handled: &HandledCounts) -> MetObstacle {
        let noted = self.lock();
        let obstacle = noted.obstacle.clone().map(|(reason, part)| Obstacle {
            reason,
            handled: part.map(|part| handled.of(part).load(Ordering::Relaxed)),
        });
        MetObstacle { obstacle, made_up: noted.made_up, is_dry: false }
    }

    /// The call handled its op.
    pub(super) fn count(&self, handled: &HandledCounts) {
        let met = self.lock();
        for (part, used) in [
            (PartialCapability::Http, met.http),
            (PartialCapability::Mongodb, met.mongodb),
            (PartialCapability::Mail, met.mail),
        ] {
            if used {
                handled.of(part).fetch_add(1, Ordering::Relaxed);
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
        notes.blocked("no server".to_owned(), Some(PartialCapability::Http));
        let obstacle = Obstacle { reason: "no grant".to_owned(), handled: None };
        assert_eq!(notes.met(&handled).obstacle, Some(obstacle));
        notes.clear();
        assert_eq!(notes.met(&handled), MetObstacle::default());
    }

    #[test]
    fn of_a_part_it_is_known_how_many_ops_were_handled_by_the_rest() {
        let (notes, handled) = (Notes::default(), HandledCounts::default());
        notes.permitted(PartialCapability::Http);
        notes.count(&handled);
        notes.clear();
        for (part, count) in [(PartialCapability::Http, 1), (PartialCapability::Mongodb, 0)] {
            notes.clear();
            notes.blocked("there".to_owned(), Some(part));
            assert_eq!(notes.met(&handled).obstacle.unwrap().handled, Some(count));
        }
    }
}
