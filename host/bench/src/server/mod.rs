//! A server that replays a synthetic oplog from memory, to measure what tails it. It is not for anything else.
//!
//! It speaks as much of MongoDB's wire protocol as the official drivers need to find a replica set of one member and to read
//! `local.oplog.rs` there: `hello`, `ping`, `find` and `getMore`. Entries are as MongoDB 8 writes them ([`entries`]). They are all there
//! from the start, or come at a rate; after the last a cursor waits, as on a real server. A filter is passed over but for the
//! least `ts`, so that everybody who reads is sent the same bytes; a `find` by `_id` in another collection finds a document for each that
//! is asked for.

mod connection;
mod entries;
mod message;
mod stream;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails should say where")]
mod tests;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::Context;
use bson::Timestamp;
pub(crate) use entries::{END, Entries, Mix};
use stream::{Pace, Stream};

/// What is replayed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Entries, before those that end the stream.
    pub(crate) count: u64,
    /// Bytes of an insert or update.
    pub(crate) size: usize,
    /// Which.
    pub(crate) mix: Mix,
    /// Entries that are written in a second. None: all are there.
    pub(crate) rate: Option<f64>,
    /// The port on this machine. 0: any.
    pub(crate) port: u16,
}

/// A server that runs as long as the program does.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    entries: Entries,
    pace: Pace,
    address: SocketAddr,
    /// When the oplog was first read, since that was last asked.
    first_read: Mutex<Option<Instant>>,
    /// Those that are open, by their ids: a driver need not stay with one connection.
    cursors: Mutex<HashMap<i64, Arc<Mutex<Stream>>>>,
}

impl Shared {
    fn cursors(&self) -> MutexGuard<'_, HashMap<i64, Arc<Mutex<Stream>>>> {
        self.cursors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, stream: Stream) -> Arc<Mutex<Stream>> {
        let id = stream.id();
        let cursor = Arc::new(Mutex::new(stream));
        self.cursors().insert(id, Arc::clone(&cursor));
        cursor
    }

    fn cursor(&self, id: i64) -> Option<Arc<Mutex<Stream>>> {
        self.cursors().get(&id).cloned()
    }

    fn close(&self, ids: &[i64]) {
        self.cursors().retain(|id, _| !ids.contains(id));
    }
}

impl Server {
    pub(crate) fn start(options: Options) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))
            .with_context(|| format!("the port {} cannot be had: give another with --port", options.port))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            entries: Entries::new(options.mix, options.size, options.count)?,
            pace: Pace::new(options.rate),
            address,
            first_read: Mutex::default(),
            cursors: Mutex::default(),
        });
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&served);
                // A client that goes away ends its own connection only.
                thread::spawn(move || connection::serve(&stream, &shared));
            }
        });
        Ok(Self { address, shared })
    }

    pub(crate) fn uri(&self) -> String {
        format!("mongodb://{}/?directConnection=true", self.address)
    }

    pub(crate) fn entries(&self) -> &Entries {
        &self.shared.entries
    }

    /// Those who read so far have ended.
    pub(crate) fn forget_readers(&self) {
        self.shared.cursors().clear();
        self.take_first_read();
    }

    /// When the oplog was first read, since this was last asked.
    pub(crate) fn take_first_read(&self) -> Option<Instant> {
        self.shared.first_read.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Where an entry stands: a hundred thousand to the second.
const PER_SECOND: u64 = 100_000;
/// When the first was written.
const BEGIN: u32 = 1_700_000_000;

fn timestamp(index: u64) -> Timestamp {
    let part = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Timestamp { time: BEGIN + part(index / PER_SECOND), increment: part(index % PER_SECOND) + 1 }
}

/// The first entry that is not before this.
fn index_of(Timestamp { time, increment }: Timestamp) -> u64 {
    match time.checked_sub(BEGIN) {
        Some(seconds) => u64::from(seconds) * PER_SECOND + u64::from(increment.max(1) - 1).min(PER_SECOND),
        None => 0,
    }
}
