//! A server that replays a synthetic oplog from memory, to measure programs that tail it.
//!
//! It speaks as much of MongoDB's wire protocol as the official drivers need to find a replica set of one member and to read
//! `local.oplog.rs` there: `hello`, `ping`, `find` and `getMore`. Entries are as MongoDB 8 writes them ([`entries`]). They are all there
//! from the start, or come at a rate; after the last one a cursor waits, as on a real server. The server ignores filters except for the
//! first `ts`, so that all readers receive the same bytes. A `find` by `_id` in another collection finds a document for each `_id`.

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

/// The stream to replay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// The number of entries before those that end the stream.
    pub(crate) count: u64,
    /// The size of an insert or update in bytes.
    pub(crate) size: usize,
    /// The kinds of entries.
    pub(crate) mix: Mix,
    /// The number of entries per second. None: all are there from the start.
    pub(crate) rate: Option<f64>,
    /// The port on this machine. 0: any.
    pub(crate) port: u16,
}

/// A server that runs until the program ends.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    entries: Entries,
    pace: Pace,
    address: SocketAddr,
    /// When the oplog was first read since the last [`take_first_read`](Server::take_first_read).
    first_read: Mutex<Option<Instant>>,
    /// The open cursors by id. A driver may use several connections for one.
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
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).with_context(|| {
            format!("the port {} cannot be opened. help: pass another one with --port", options.port)
        })?;
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
                // A client that disconnects ends only its own connection.
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

    /// Closes the cursors of earlier readers.
    pub(crate) fn forget_readers(&self) {
        self.shared.cursors().clear();
        self.take_first_read();
    }

    /// Returns when the oplog was first read since the last call.
    pub(crate) fn take_first_read(&self) -> Option<Instant> {
        self.shared.first_read.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The number of entries in a second of oplog time.
const PER_SECOND: u64 = 100_000;
/// The time of the first entry, in seconds since 1970.
const BEGIN: u32 = 1_700_000_000;

fn timestamp(index: u64) -> Timestamp {
    let part = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Timestamp { time: BEGIN + part(index / PER_SECOND), increment: part(index % PER_SECOND) + 1 }
}

/// Returns the index of the first entry at or after this time.
fn index_of(Timestamp { time, increment }: Timestamp) -> u64 {
    match time.checked_sub(BEGIN) {
        Some(seconds) => u64::from(seconds) * PER_SECOND + u64::from(increment.max(1) - 1).min(PER_SECOND),
        None => 0,
    }
}
