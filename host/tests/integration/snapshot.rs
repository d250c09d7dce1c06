//! The snapshot source, over the wire, as a library.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bson::{Bson, Document, RawDocument, doc};
use gtm_host::op::{Op, OperationType, Origin, Place, Timestamp};
use gtm_host::source::Selection;
use gtm_host::source::snapshot::{Options, ProgressFile, Snapshot, SnapshotError, Standing};
use mongodb::Client;
use mongodb::event::EventHandler;
use mongodb::event::command::CommandEvent;
use mongodb::options::ClientOptions;
use tempfile::TempDir;
use xtask::testbed::Server;

use crate::support::{Database, random};

const AT: Timestamp = Timestamp { time: 1_700_000_000, increment: 7 };

fn inserts(patterns: &[&str]) -> Selection {
    let mut selection = Selection::default();
    patterns.iter().for_each(|pattern| selection.add(pattern, &[OperationType::Insert]).unwrap());
    selection
}

async fn plan(client: &Client, pattern: &str, file: Option<ProgressFile>) -> Snapshot {
    let options = Options { file, ..Options::default() };
    Snapshot::plan(client, &mut inserts(&[pattern]), AT, options).await.unwrap()
}

/// A directory and the progress file in it.
fn progress_file() -> (TempDir, ProgressFile) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("progress.json");
    (directory, ProgressFile { path, deployment: "rs0".to_owned() })
}

async fn all(snapshot: &mut Snapshot) -> Vec<Op> {
    let mut ops = Vec::new();
    while let Some(more) = snapshot.next().await.unwrap() {
        ops.extend(more);
    }
    ops
}

fn document(bytes: &[u8]) -> Document {
    RawDocument::from_bytes(bytes).unwrap().try_into().unwrap()
}

/// How often each `_id` is among the ops, by its bytes.
fn counted<'a>(ops: impl IntoIterator<Item = &'a Op>) -> HashMap<Vec<u8>, usize> {
    let mut counts = HashMap::new();
    for op in ops {
        *counts.entry(op.document_key.as_ref().unwrap().to_vec()).or_default() += 1;
    }
    counts
}

fn key(id: impl Into<Bson>) -> Vec<u8> {
    bson::serialize_to_vec(&doc! { "_id": id.into() }).unwrap()
}

async fn fill(own: &Database, collection: &str, ids: std::ops::Range<i32>) {
    let documents = ids.map(|id| doc! { "_id": id, "text": "some text" });
    own.collection(collection).insert_many(documents).await.unwrap();
}

async fn fail_next(own: &Database, command: &str, code: i32) {
    let data = doc! { "failCommands": [command], "errorCode": code };
    let command = doc! { "configureFailPoint": "failCommand", "mode": { "times": 1 }, "data": data };
    own.client.database("admin").run_command(command).await.unwrap();
}

#[tokio::test]
async fn wanted_collections_of_several_databases_are_read() {
    let server = Server::ready().unwrap();
    let (one, two) = (Database::new(server.uri()).await, Database::new(server.uri()).await);
    one.collection("a.b").insert_one(doc! { "x": 1, "_id": 1 }).await.unwrap();
    one.collection("c").insert_one(doc! { "_id": 2 }).await.unwrap();
    two.collection("a.b").insert_one(doc! { "_id": { "k": 3 } }).await.unwrap();
    two.client.database(&two.name).create_collection("a.empty").await.unwrap();
    let patterns = [format!("{}.a.*", one.name), format!("{}.a.*", two.name)];
    let mut selection = inserts(&[&patterns[0], &patterns[1]]);
    // Deletions alone want no documents.
    selection.add(&format!("{}.c", one.name), &[OperationType::Delete]).unwrap();
    let mut snapshot = Snapshot::plan(&one.client, &mut selection, AT, Options::default()).await.unwrap();
    let ops = all(&mut snapshot).await;

    let mut namespaces: Vec<_> = ops.iter().map(|op| op.namespace.to_string()).collect();
    namespaces.sort_unstable();
    let mut expected = [format!("{}.a.b", one.name), format!("{}.a.b", two.name)];
    expected.sort_unstable();
    assert_eq!(namespaces, expected);
    let op = ops.iter().find(|op| *op.namespace.database == *one.name).unwrap();
    assert_eq!((op.timestamp, &op.place, op.origin), (AT, &Place::Document, Origin::Snapshot));
    assert_eq!((op.operation_type, op.wall_time), (OperationType::Insert, None));
    assert_eq!(document(op.document_key.as_ref().unwrap()), doc! { "_id": 1 });
    assert_eq!(document(op.full_document.as_ref().unwrap()).get("x"), Some(&Bson::Int32(1)));
    let progress = snapshot.progress();
    assert!(progress.has_ended());
    assert_eq!((progress.documents, progress.collections, progress.refused), (2, 3, 0));
    assert_eq!(
        progress.bytes,
        ops.iter().map(|op| op.full_document.as_ref().unwrap().len() as u64).sum::<u64>()
    );
}

#[tokio::test]
async fn a_database_without_a_collection_that_is_wanted_has_nothing_to_read() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let mut snapshot = plan(&own.client, &format!("{}.*", own.name), None).await;
    assert!(snapshot.next().await.unwrap().is_none());
    assert!(snapshot.next().await.unwrap().is_none(), "and again nothing");
    assert!(snapshot.progress().has_ended());
}

/// A thousand of each type that has many values, and all of those that have few.
fn ids_of_every_type() -> Vec<Bson> {
    let mut ids = vec![Bson::MinKey, Bson::MaxKey, Bson::Null, true.into(), false.into(), f64::NAN.into()];
    for n in 0..1_000_i32 {
        let bytes = n.to_le_bytes().to_vec();
        ids.extend([
            Bson::Int32(n),
            Bson::Int64(1 << 40 | i64::from(n)),
            Bson::Double(f64::from(n) + 0.5),
            Bson::Decimal128(format!("{n}.25").parse().unwrap()),
            Bson::String(format!("s{n}")),
            bson::oid::ObjectId::new().into(),
            bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes }.into(),
            bson::Uuid::new().into(),
            bson::DateTime::from_millis(i64::from(n) - 700).into(),
            doc! { "a": n, "b": "c" }.into(),
            bson::Timestamp { time: 1, increment: n.unsigned_abs() }.into(),
        ]);
    }
    ids
}

#[tokio::test]
async fn ids_of_every_type_in_one_collection_are_each_read_once() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let ids = ids_of_every_type();
    for some in ids.chunks(6_000) {
        own.collection("mixed").insert_many(some.iter().map(|id| doc! { "_id": id })).await.unwrap();
    }
    let (_directory, file) = progress_file();
    let mut snapshot = plan(&own.client, &format!("{}.mixed", own.name), Some(file.clone())).await;
    let kept: serde_json::Value = serde_json::from_slice(&std::fs::read(&file.path).unwrap()).unwrap();
    let ranges = kept["collections"][0]["ranges"].as_array().unwrap().len();
    assert!(ranges > 1, "it is split");
    let counts = counted(&all(&mut snapshot).await);
    for id in &ids {
        assert_eq!(counts.get(&key(id.clone())), Some(&1), "{id}");
    }
    assert_eq!(counts.len(), ids.len());
}

#[tokio::test]
async fn a_snapshot_dropped_at_any_point_goes_on_where_it_was() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let ids = ids_of_every_type();
    for some in ids.chunks(6_000) {
        own.collection("many").insert_many(some.iter().map(|id| doc! { "_id": id })).await.unwrap();
    }
    fill(&own, "few", -10..0).await;
    let (_directory, file) = progress_file();
    let pattern = format!("{}.*", own.name);
    assert_eq!(Snapshot::standing(&file, &inserts(&[&pattern])).await.unwrap(), Standing::None);

    let (mut confirmed, mut given_up) = (Vec::new(), Vec::new());
    let mut state = 42;
    for round in 1.. {
        assert!(round < 40, "it comes to its end");
        let mut snapshot = plan(&own.client, &pattern, Some(file.clone())).await;
        let earlier = u64::try_from(confirmed.len()).unwrap();
        assert_eq!((snapshot.progress().documents, snapshot.progress().earlier), (earlier, earlier));
        for _ in 0..random(&mut state) % 3 {
            confirmed.extend(snapshot.next().await.unwrap().unwrap_or_default());
        }
        snapshot.confirm().await.unwrap();
        // A crash comes while these are in work.
        match snapshot.next().await.unwrap() {
            Some(ops) => given_up.extend(ops),
            None => break,
        }
    }
    let counts = counted(&confirmed);
    let missing: Vec<_> = ids.iter().filter(|id| !counts.contains_key(&key((*id).clone()))).collect();
    assert!(
        missing.is_empty(),
        "{} are missing: {:?}",
        missing.len(),
        missing.iter().take(20).collect::<Vec<_>>()
    );
    assert!(counts.values().all(|count| *count == 1), "what was confirmed does not come again");
    assert!(!given_up.is_empty() && counted(&given_up).keys().all(|key| counts.contains_key(key)));
    let standing = Snapshot::standing(&file, &inserts(&[&pattern])).await.unwrap();
    assert_eq!(standing, Standing::Complete(AT));
    let mut again = plan(&own.client, &pattern, Some(file)).await;
    assert!(again.next().await.unwrap().is_none(), "a complete snapshot is not taken again");
    assert_eq!(again.progress().documents, u64::try_from(ids.len()).unwrap() + 10);
}

#[tokio::test]
async fn one_that_goes_on_keeps_its_time_and_leaves_what_was_made_since_to_the_stream() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    fill(&own, "stays", 0..20).await;
    fill(&own, "again", 0..20).await;
    let (_directory, file) = progress_file();
    let pattern = format!("{}.*", own.name);
    drop(plan(&own.client, &pattern, Some(file.clone())).await);
    let standing = Snapshot::standing(&file, &inserts(&[&pattern])).await.unwrap();
    assert_eq!(standing, Standing::Unfinished(AT));

    own.collection("again").drop().await.unwrap();
    fill(&own, "again", 0..10).await;
    fill(&own, "new", 0..10).await;
    let later = Timestamp { time: AT.time + 1, increment: 1 };
    let options = Options { file: Some(file), ..Options::default() };
    let mut snapshot = Snapshot::plan(&own.client, &mut inserts(&[&pattern]), later, options).await.unwrap();
    assert_eq!(snapshot.at(), AT);
    let ops = all(&mut snapshot).await;
    assert_eq!(ops.len(), 20);
    assert!(ops.iter().all(|op| op.timestamp == AT && &*op.namespace.collection == "stays"));
    assert_eq!(snapshot.progress().gone, 1);
}

#[tokio::test]
async fn lost_cursors_and_elections_are_survived() {
    let server = Server::start(Default::default()).unwrap();
    let own = Database::new(server.uri()).await;
    fill(&own, "things", 0..6_000).await;
    for (command, code) in [("getMore", 43), ("getMore", 10107), ("find", 10107), ("find", 237)] {
        fail_next(&own, command, code).await;
        let (client, asked) = counting(server.uri()).await;
        let mut snapshot = plan(&client, &format!("{}.things", own.name), None).await;
        let ops = all(&mut snapshot).await;
        assert_eq!(ops.len(), 6_000, "{command} {code}");
        let ids = ops.iter().map(|op| document(op.document_key.as_ref().unwrap()).get_i32("_id").unwrap());
        assert!(ids.is_sorted_by(|one, next| one < next), "{command} {code}");
        assert_eq!(snapshot.progress().refused, 0);
        assert!(asked.load(Ordering::SeqCst) > 2, "one failed");
    }
}

#[tokio::test]
async fn a_collection_that_may_not_be_read_is_counted_and_the_others_go_on() {
    let server = Server::start(Default::default()).unwrap();
    let own = Database::new(server.uri()).await;
    fill(&own, "secret", 0..10).await;
    fill(&own, "things", 0..10).await;
    fail_next(&own, "find", 13).await;
    let options = Options { parallel: 1, file: None };
    let selection = &mut inserts(&[&format!("{}.*", own.name)]);
    let mut snapshot = Snapshot::plan(&own.client, selection, AT, options).await.unwrap();
    // Whichever was read first.
    assert_eq!(all(&mut snapshot).await.len(), 10);
    let progress = snapshot.progress();
    assert_eq!((progress.ended, progress.refused), (2, 1));
    assert!(progress.to_string().ends_with("1 COULD NOT BE READ"), "{progress}");
}

#[tokio::test]
async fn a_collection_dropped_while_it_is_read_ends() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    fill(&own, "things", 0..20_000).await;
    let options = Options { parallel: 1, file: None };
    let selection = &mut inserts(&[&format!("{}.things", own.name)]);
    let mut snapshot = Snapshot::plan(&own.client, selection, AT, options).await.unwrap();
    let first = snapshot.next().await.unwrap().unwrap();
    own.collection("things").drop().await.unwrap();
    assert!(first.len() + all(&mut snapshot).await.len() < 20_000);
    let progress = snapshot.progress();
    assert_eq!((progress.ended, progress.gone, progress.refused), (1, 1, 0));
}

#[tokio::test]
async fn a_view_is_read_where_it_is_named() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    fill(&own, "things", 0..3).await;
    let database = own.client.database(&own.name);
    let pipeline = [doc! { "$project": { "_id": 0, "n": { "$add": ["$_id", 10] } } }];
    database.create_collection("view").view_on("things").pipeline(pipeline).await.unwrap();

    let mut snapshot = plan(&own.client, &format!("{}.*", own.name), None).await;
    let ops = all(&mut snapshot).await;
    assert_eq!(ops.iter().filter(|op| &*op.namespace.collection == "things").count(), 3);
    assert_eq!(ops.len(), 3, "a view is no collection");

    let mut snapshot = plan(&own.client, &format!("{}.view", own.name), None).await;
    let ops = all(&mut snapshot).await;
    assert_eq!(ops.len(), 3);
    assert!(ops.iter().all(|op| op.document_key.is_none()));
    assert_eq!(document(ops[0].full_document.as_ref().unwrap()).len(), 1);
    let ids: std::collections::HashSet<_> = ops.iter().map(|op| op.id().to_string()).collect();
    assert_eq!(ids.len(), 3, "each has an identity of its own");
}

/// What is said of a progress file with these bytes.
async fn refused(own: &Database, change: impl Fn(String) -> String) -> SnapshotError {
    let (_directory, file) = progress_file();
    let pattern = format!("{}.things", own.name);
    drop(plan(&own.client, &pattern, Some(file.clone())).await);
    let text = std::fs::read_to_string(&file.path).unwrap();
    std::fs::write(&file.path, change(text)).unwrap();
    let options = Options { file: Some(file), ..Options::default() };
    Snapshot::plan(&own.client, &mut inserts(&[&pattern]), AT, options).await.unwrap_err()
}

#[tokio::test]
async fn a_progress_file_that_does_not_fit_is_refused() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    fill(&own, "things", 0..10).await;
    let error = refused(&own, |text| text.replace("\"rs0\"", "\"rs1\"")).await;
    assert!(matches!(error, SnapshotError::OtherDeployment { .. }), "{error}");
    assert!(error.to_string().contains("of \"rs1\", and this is \"rs0\""), "{error}");
    assert!(error.to_string().contains("progress.json"), "{error}");
    let error = refused(&own, |text| text.replace("\"version\":1", "\"version\":2")).await;
    assert!(
        error.to_string().contains("newer gtm-host (version 2 of the file; this one knows 1)"),
        "{error}"
    );
    for corrupt in [
        |text: String| text.replace("\"version\":1", "\"version\":\"x\""),
        |text: String| text.replace("\"at\"", "\"atta\""),
        |text: String| text.replace("\"ranges\":[{", "\"ranges\":[{\"last\":{\"x\":1},"),
        |text: String| text[..text.len() / 2].to_owned(),
        |_: String| String::new(),
    ] {
        let error = refused(&own, corrupt).await;
        assert!(matches!(error, SnapshotError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains("Delete it to read all documents again"), "{error}");
    }

    let (_directory, file) = progress_file();
    drop(plan(&own.client, &format!("{}.things", own.name), Some(file.clone())).await);
    let error = Snapshot::standing(&file, &inserts(&["other.*"])).await.unwrap_err();
    assert!(matches!(error, SnapshotError::OtherSelection { .. }), "{error}");
}

#[tokio::test]
async fn a_progress_file_that_cannot_be_written_is_an_error() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let path = PathBuf::from("/nonexistent/progress.json");
    let file = Some(ProgressFile { path, deployment: "rs0".to_owned() });
    let options = Options { file, ..Options::default() };
    let error = Snapshot::plan(&own.client, &mut inserts(&["a.b"]), AT, options).await.unwrap_err();
    assert!(error.to_string().contains("cannot be written to /nonexistent/progress.json"), "{error}");
}

/// A client that counts the replies with documents that it asks for.
async fn counting(uri: &str) -> (Client, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let mut options = ClientOptions::parse(uri).await.unwrap();
    let counter = Arc::clone(&asked);
    options.command_event_handler = Some(EventHandler::callback(move |event| {
        if let CommandEvent::Started(event) = event
            && matches!(event.command_name.as_str(), "find" | "getMore")
        {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    }));
    (Client::with_options(options).unwrap(), asked)
}

#[tokio::test]
async fn no_more_is_read_ahead_than_there_is_room_for() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    fill(&own, "things", 0..25_000).await;
    let (client, asked) = counting(server.uri()).await;
    let options = Options { parallel: 1, file: None };
    let selection = &mut inserts(&[&format!("{}.things", own.name)]);
    let mut snapshot = Snapshot::plan(&client, selection, AT, options).await.unwrap();
    let first = snapshot.next().await.unwrap().unwrap();
    // Until the readers ask for nothing more.
    let mut before = usize::MAX;
    while std::mem::replace(&mut before, asked.load(Ordering::SeqCst)) != asked.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // One was taken, one is on the way, one is in the reader's hand.
    assert!(before <= 3, "{before} replies were asked for");
    assert_eq!(first.len() + all(&mut snapshot).await.len(), 25_000);
    assert!(asked.load(Ordering::SeqCst) >= 5);
}

#[tokio::test]
async fn a_cancelled_call_loses_nothing() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    fill(&own, "things", 0..12_000).await;
    let (_directory, file) = progress_file();
    let mut snapshot = plan(&own.client, &format!("{}.things", own.name), Some(file)).await;
    let mut ops = Vec::new();
    loop {
        tokio::select! {
            biased;
            more = snapshot.next() => match more.unwrap() {
                Some(more) => ops.extend(more),
                None => break,
            },
            () = tokio::task::yield_now() => {}
        }
    }
    let counts = counted(&ops);
    assert_eq!((counts.len(), ops.len()), (12_000, 12_000));
}
