//! Measures how long a change of a live server takes from its commit to the plugin, and to a bare driver that tails the same oplog.

use std::time::{Duration, Instant};

use anyhow::Context;
use bson::{Document, RawDocumentBuf, doc};
use futures_util::StreamExt;
use gtm_test_support::Server;
use mongodb::options::CursorType;
use mongodb::{Client, Collection};
use tokio::sync::mpsc;

use crate::host::{Host, Plugin};

/// The number of changes.
const COUNT: i32 = 200;
const CHANGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the times from each acknowledged write until a host's plugin receives the change, and until the bare driver does, in
/// milliseconds. Both run at the same time.
pub(crate) async fn wake_ups(server: &Server) -> anyhow::Result<Vec<(f64, f64)>> {
    let client = Client::with_uri_str(server.uri()).await?;
    let users = client.database("users").collection::<Document>("users");
    users.drop().await?;
    let mut host =
        Host::start(server.uri(), &[Plugin::new("tally_users", &["each=yes"])], &["--start", "now"])?;
    while !host.line(CHANGE_TIMEOUT)?.context("the host does not tail")?.1.is_tailing() {}
    let mut driver = bare(server).await?;
    let mut took = Vec::new();
    for n in 0..COUNT {
        took.push(once(&users, n, &mut host, &mut driver).await?);
    }
    host.stop()?;
    // The first tenth warms up caches.
    Ok(took.split_off(took.len() / 10))
}

async fn once(
    users: &Collection<Document>,
    n: i32,
    host: &mut Host,
    driver: &mut mpsc::Receiver<(i32, Instant)>,
) -> anyhow::Result<(f64, f64)> {
    users.insert_one(doc! { "_id": n }).await?;
    let committed = Instant::now();
    let driver = loop {
        let (id, at) =
            tokio::time::timeout(CHANGE_TIMEOUT, driver.recv()).await?.context("the driver has ended")?;
        if id == n {
            break at;
        }
    };
    let host = loop {
        let (at, line) = host.line(CHANGE_TIMEOUT)?.context("the plugin receives nothing")?;
        if line.message == "an op" {
            break at;
        }
    };
    // A change that arrives before the reply to the write took no time.
    let millis = |at: Instant| at.saturating_duration_since(committed).as_secs_f64() * 1e3;
    // Both must wait again when the next change comes.
    tokio::time::sleep(Duration::from_millis(5)).await;
    Ok((millis(host), millis(driver)))
}

/// Tails with the driver alone, in a task of its own.
async fn bare(server: &Server) -> anyhow::Result<mpsc::Receiver<(i32, Instant)>> {
    let (sender, changes) = mpsc::channel(16);
    let client = Client::with_uri_str(server.uri()).await?;
    let oplog = client.database("local").collection::<RawDocumentBuf>("oplog.rs");
    let hello = client.database("admin").run_command(doc! { "hello": 1 }).await?;
    let now = hello.get_document("lastWrite")?.get_document("opTime")?.get_timestamp("ts")?;
    let find = oplog.find(doc! { "ts": { "$gte": now } }).cursor_type(CursorType::TailableAwait);
    let mut batches = find.max_await_time(Duration::from_secs(1)).batch().await?;
    tokio::spawn(async move {
        while let Some(Ok(batch)) = batches.next().await {
            let at = Instant::now();
            let Ok(entries) = batch.doc_slices() else { return };
            for entry in entries.into_iter().filter_map(Result::ok) {
                let Some(entry) = entry
                    .as_document()
                    .filter(|entry| entry.get_str("ns").is_ok_and(|ns| ns == "users.users"))
                else {
                    continue;
                };
                let Some(id) = entry.get_document("o").ok().and_then(|object| object.get_i32("_id").ok())
                else {
                    continue;
                };
                if sender.send((id, at)).await.is_err() {
                    return;
                }
            }
        }
    });
    Ok(changes)
}
