//! The bare driver: measures reading without a host. It reads the kind and namespace of each entry, and does nothing with it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bson::{RawBsonRef, RawDocument, Timestamp, doc};
use futures_util::StreamExt;
use mongodb::Client;
use mongodb::options::CursorType;

use crate::server::END;

/// The result of reading a stream.
pub(crate) struct Drained {
    pub(crate) entries: u64,
    /// The times from sending to arrival of the users among them, in microseconds. Empty unless they are measured.
    pub(crate) latencies: Vec<u64>,
    /// The client, which the caller shuts down.
    pub(crate) client: Client,
}

/// Reads to the end of the stream.
pub(crate) async fn drain(
    uri: &str,
    start: Timestamp,
    batch_size: Option<u32>,
    timed: bool,
) -> anyhow::Result<Drained> {
    let client = Client::with_uri_str(uri).await?;
    let oplog = client.database("local").collection::<bson::RawDocumentBuf>("oplog.rs");
    let mut find = oplog.find(doc! { "ts": { "$gte": start } }).cursor_type(CursorType::TailableAwait);
    if let Some(size) = batch_size {
        find = find.batch_size(size);
    }
    let mut batches = find.max_await_time(Duration::from_secs(1)).batch().await?;
    let (mut entries, mut ended, mut latencies) = (0, 0, Vec::new());
    while ended < END {
        let Some(batch) = batches.next().await else { break };
        for entry in batch?.doc_slices()?.into_iter() {
            let Some(entry) = entry?.as_document() else { continue };
            entries += 1;
            let (mut op, mut namespace) = ("", "");
            for field in entry {
                match field? {
                    (name, RawBsonRef::String(text)) if name == "op" => op = text,
                    (name, RawBsonRef::String(text)) if name == "ns" => namespace = text,
                    _ => continue,
                }
                if !op.is_empty() && !namespace.is_empty() {
                    break;
                }
            }
            ended += u64::from(namespace == "bench.end");
            if timed && op == "i" && namespace == "users.users" {
                latencies.extend(latency(entry));
            }
        }
    }
    Ok(Drained { entries, latencies, client })
}

fn latency(entry: &RawDocument) -> Option<u64> {
    let sent = entry.get_document("o").ok()?.get_i64("sent").ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    Some(u64::try_from(now).ok()?.saturating_sub(u64::try_from(sent).ok()?) / 1000)
}
