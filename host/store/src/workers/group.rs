//! The workers of a group, and the ops of each.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use bson::RawDocument;
use gtm_oplog::{Namespace, Op};
use hashring::HashRing;

use super::WorkersError;
use super::canonical::hash_id;

/// Points on the ring for each worker. With this many, each share is within a few per cent of a fair one.
const POINTS_PER_WORKER: u32 = 256;

/// Workers of a group. More would be a mistake, and their ring would be large.
const MAX_WORKERS: usize = 1000;

/// The workers of a group, and which of them this host is. Clones share them.
#[derive(Clone, Debug)]
pub struct Group {
    names: Arc<[String]>,
    name: Arc<str>,
    ring: Arc<HashRing<RingPoint>>,
}

/// A point on the ring, and its worker.
#[derive(Clone, Debug)]
struct RingPoint {
    worker: Arc<str>,
    number: u32,
    is_own: bool,
}

impl Hash for RingPoint {
    /// Hashes only bytes, as the bytes of numbers and lengths differ between machines.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.worker.as_bytes());
        // A byte that no name contains.
        state.write(&[0xff]);
        state.write(&self.number.to_le_bytes());
    }
}

impl Group {
    /// Makes a group of the workers `names`, in any order, in which this host is `me`.
    ///
    /// # Errors
    /// There are no names, too many, an empty one, or a duplicate; or `me` is not among them.
    pub fn new(mut names: Vec<String>, me: &str) -> Result<Self, WorkersError> {
        names.sort_unstable();
        if names.is_empty() {
            return Err(WorkersError::NoWorkers);
        }
        if names.len() > MAX_WORKERS {
            return Err(WorkersError::TooMany { count: names.len(), most: MAX_WORKERS });
        }
        if names.iter().any(String::is_empty) {
            return Err(WorkersError::NoName);
        }
        if let Some((name, _)) = names.iter().zip(names.iter().skip(1)).find(|(one, next)| one == next) {
            return Err(WorkersError::Twice { name: name.clone() });
        }
        if !names.iter().any(|name| name == me) {
            return Err(WorkersError::NotListed { name: me.to_owned(), known: names.join(", ") });
        }
        let points = names.iter().flat_map(|name| {
            let worker: Arc<str> = name.as_str().into();
            (0..POINTS_PER_WORKER).map(move |number| RingPoint {
                is_own: *worker == *me,
                worker: worker.clone(),
                number,
            })
        });
        let mut ring = HashRing::new();
        ring.batch_add(points.collect());
        Ok(Self { names: names.into(), name: me.into(), ring: ring.into() })
    }

    /// Returns whether an op belongs to this host. Allocates no memory unless the `_id` is a document.
    pub fn owns(&self, op: &Op) -> bool {
        self.point(op).is_some_and(|point| point.is_own)
    }

    /// Returns the name of the worker that an op belongs to.
    #[cfg(test)]
    fn worker_of(&self, op: &Op) -> &str {
        self.point(op).map(|point| &*point.worker).unwrap()
    }

    fn point(&self, op: &Op) -> Option<&RingPoint> {
        self.ring.get(&RingKey { namespace: &op.namespace, document_key: op.document_key.as_deref() })
    }

    /// Returns the names of all workers, sorted.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns the name of the worker that this host is.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The key of an op on the ring.
struct RingKey<'a> {
    namespace: &'a Namespace,
    document_key: Option<&'a [u8]>,
}

impl Hash for RingKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.namespace.database.as_bytes());
        // No database name contains it, so no two namespaces have the same bytes.
        state.write(b".");
        state.write(self.namespace.collection.as_bytes());
        state.write(&[0]);
        if let Some(Ok(key)) = self.document_key.map(RawDocument::from_bytes) {
            hash_id(key, state);
        }
    }
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
