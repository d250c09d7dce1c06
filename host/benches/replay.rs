//! Measures a dump of two million entries, read by a source whose ops no plugin wants, like most entries of a replay. The baseline
//! reads the same bytes from length to length, in turn.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark panics if it fails"
)]

mod entries;

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use gtm_oplog::Selection;
use gtm_source::{FileOptions, FileSource};

const ENTRIES: u32 = 2_000_000;
const ROUNDS: usize = 5;
const BUFFER: usize = 1 << 20;

/// Reads the file from document to document.
fn plain(path: &Path) -> Duration {
    let started = Instant::now();
    let mut file = File::open(path).unwrap();
    let (mut buffer, mut begun, mut count) = (vec![0; BUFFER], 0, 0);
    loop {
        let read = file.read(&mut buffer[begun..]).unwrap();
        let filled = begun + read;
        let mut at = 0;
        while let Some(length) = buffer[at..filled].first_chunk() {
            let length = i32::from_le_bytes(*length) as usize;
            if at + length > filled {
                break;
            }
            at += length;
            count += 1;
        }
        if read == 0 {
            break;
        }
        buffer.copy_within(at..filled, 0);
        begun = filled - at;
    }
    assert_eq!(count, ENTRIES);
    started.elapsed()
}

/// Reads the file as a source.
fn replay(path: &Path, selection: Selection, ops: usize) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let started = Instant::now();
    let mut files = FileSource::open(vec![path.to_owned()], selection, FileOptions::default()).unwrap();
    let mut given = 0;
    while let Some(batch) = runtime.block_on(files.next()).unwrap() {
        given += batch.ops.len();
    }
    assert_eq!((files.report().totals.position.increment, given), (ENTRIES, ops));
    started.elapsed()
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("oplog.bson");
    entries::write(&path, "i", ENTRIES);
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        times[0].push(plain(&path));
        times[1].push(replay(&path, Selection::default(), 0));
        times[2].push(replay(&path, Selection::everything(), ENTRIES as usize));
    }
    let times = times.map(|times| entries::median(times.iter().map(Duration::as_secs_f64).collect()));
    let names = ["read from length to length", "replayed, nothing wanted", "replayed, everything wanted"];
    for (name, time) in names.into_iter().zip(times) {
        println!(
            "{name:30} {time:6.3} s, {:5.2} million entries/s, {:4.2} of plain reading",
            f64::from(ENTRIES) / time / 1e6,
            times[0] / time
        );
    }
}
