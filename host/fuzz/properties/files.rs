//! Any bytes, taken as a file of each kind: it is read to an end or an error, and holds no more changes than bytes.

use std::io::Write;
use std::path::PathBuf;

use gtm_oplog::{Namespace, Selection};
use gtm_source::{FileOptions, FileSource};

/// The name of the file may say what is in it.
const NAMES: [&str; 5] = ["oplog.bson", "things.bson", "dump.archive", "events.jsonl", "oplog.bson.gz"];
/// Bytes that a file of some bytes is decompressed to at most, each.
const FACTOR: usize = 1 << 20;

pub fn run(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let mut file = tempfile::Builder::new();
    let name = NAMES[usize::from(*first) % NAMES.len()];
    let mut file = file.prefix("fuzz-").suffix(name).tempfile().expect("a file can be made");
    file.write_all(rest).expect("a file can be written");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
    let count = runtime.block_on(read(file.path().to_owned()));
    assert!(count <= rest.len() * FACTOR, "{count} changes in {} bytes", rest.len());
}

async fn read(path: PathBuf) -> usize {
    let namespace = Some(Namespace { database: "a".into(), collection: "b".into() });
    let options = FileOptions { namespace, ..FileOptions::default() };
    let mut files = FileSource::open(vec![path], Selection::everything(), options).expect("it is there");
    let mut count = 0;
    while let Ok(Some(batch)) = files.next().await {
        count += batch.ops.len();
    }
    count
}
