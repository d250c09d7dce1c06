//! Measures look-ups of the documents of updates, on a live server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::ensure;
use bson::{Document, Timestamp, doc};
use gtm_oplog::{Namespace, Selection};
use gtm_source::{OplogTailer, StartAt};
use gtm_test_support::Server;
use mongodb::event::EventHandler;
use mongodb::event::command::CommandEvent;
use mongodb::options::ClientOptions;
use mongodb::{Client, Collection};

const UPDATES: u32 = 1000;
const DOCUMENTS: u32 = 200;

/// Updates in an oplog, and their documents.
pub(crate) struct Updates {
    client: Client,
    documents: Collection<Document>,
    oplog: mongodb::Namespace,
    /// The number of queries for documents so far.
    queries: Arc<AtomicU64>,
}

impl Updates {
    pub(crate) async fn write(server: &Server) -> anyhow::Result<Self> {
        let database = format!("gtm_bench_{}", bson::oid::ObjectId::new());
        let queries = Arc::new(AtomicU64::new(0));
        let mut options = ClientOptions::parse(server.uri()).await?;
        let count = Arc::clone(&queries);
        options.command_event_handler = Some(EventHandler::callback(move |event| {
            if let CommandEvent::Started(started) = event
                && started.command.get_str("find").is_ok_and(|collection| collection == "documents")
            {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }));
        let client = Client::with_options(options)?;
        let documents = client.database(&database).collection::<Document>("documents");
        documents.insert_many((0..DOCUMENTS).map(|id| doc! { "_id": id, "text": "x".repeat(200) })).await?;
        client.database(&database).create_collection("oplog").capped(true).size(16 << 20).await?;
        let oplog = client.database(&database).collection::<Document>("oplog");
        let namespace = format!("{database}.documents");
        let update = |n: u32| {
            doc! {
                "op": "u", "ns": &namespace, "o": { "$v": 2, "diff": { "u": { "n": n } } }, "o2": { "_id": n % DOCUMENTS },
                "ts": Timestamp { time: 1_700_000_000, increment: n + 1 }, "v": 2_i64,
            }
        };
        oplog.insert_many((0..UPDATES).map(update)).await?;
        let oplog = oplog.namespace();
        Ok(Self { client, documents, oplog, queries })
    }

    /// Returns how long reading takes with one look-up after another, in milliseconds.
    pub(crate) async fn one_by_one(&self) -> anyhow::Result<f64> {
        let started = Instant::now();
        let cursor = self.client.database(&self.oplog.db).collection::<Document>(&self.oplog.coll);
        let mut cursor = cursor.find(doc! {}).await?;
        let mut found = 0;
        while cursor.advance().await? {
            let id = cursor.current().get_document("o2")?.get_i32("_id")?;
            found += u32::from(self.documents.find_one(doc! { "_id": id }).await?.is_some());
        }
        ensure!(found == UPDATES, "{found} documents were found");
        Ok(started.elapsed().as_secs_f64() * 1e3)
    }

    /// Returns how long the host's reader takes, in milliseconds, and its number of queries.
    pub(crate) async fn by_host(&self) -> anyhow::Result<(f64, u64)> {
        let before = self.queries.load(Ordering::Relaxed);
        let started = Instant::now();
        let oplog = mongodb::Namespace::new(&self.oplog.db, &self.oplog.coll);
        let mut tail =
            OplogTailer::open(&self.client, &oplog, Selection::everything(), StartAt::Oldest).await?;
        let mut found = 0;
        while found < UPDATES {
            for op in tail.next().await?.ops {
                let Namespace { collection, .. } = &*op.namespace;
                ensure!(
                    &**collection == "documents" && op.full_document.is_some(),
                    "an update without its document: {op:?}"
                );
                found += 1;
            }
        }
        let took = started.elapsed().as_secs_f64() * 1e3;
        Ok((took, self.queries.load(Ordering::Relaxed) - before))
    }
}
