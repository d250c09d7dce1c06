//! Servers that fail, collections that go, consumers that are slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bson::doc;
use gtm_source::{Snapshot, SnapshotOptions};
use gtm_test_support::Server;
use mongodb::Client;
use mongodb::event::EventHandler;
use mongodb::event::command::CommandEvent;
use mongodb::options::ClientOptions;

use super::{AT, all, document, fill, fill_large, inserts, next, plan};
use crate::support::Database;

pub async fn fail_next(own: &Database, command: &str, code: i32) {
    let data = doc! { "failCommands": [command], "errorCode": code };
    let command = doc! { "configureFailPoint": "failCommand", "mode": { "times": 1 }, "data": data };
    own.client.database("admin").run_command(command).await.unwrap();
}

#[tokio::test]
async fn lost_cursors_and_elections_are_survived() {
    let server = Server::start(Default::default()).unwrap();
    let own = Database::new(server.uri()).await;
    fill_large(&own, "things", 40).await;
    for (command, code) in [("getMore", 43), ("getMore", 10107), ("find", 10107), ("find", 237)] {
        fail_next(&own, command, code).await;
        let (client, asked) = counting(server.uri()).await;
        let mut snapshot = plan(&client, &format!("{}.things", own.name), None).await;
        let ops = all(&mut snapshot).await;
        assert_eq!(ops.len(), 40, "{command} {code}");
        let ids = ops.iter().map(|op| document(op.document_key.as_ref().unwrap()).get_i32("_id").unwrap());
        assert!(ids.is_sorted_by(|one, next| one < next), "{command} {code}");
        assert_eq!(snapshot.progress().refused, 0);
        assert!(asked.load(Ordering::SeqCst) > 2, "one failed");
    }
}

#[tokio::test]
async fn a_collection_that_may_not_be_read_is_counted_and_the_others_are_read() {
    let server = Server::start(Default::default()).unwrap();
    let own = Database::new(server.uri()).await;
    fill(&own, "secret", 0..10).await;
    fill(&own, "things", 0..10).await;
    fail_next(&own, "find", 13).await;
    let options = SnapshotOptions { parallel: 1, progress: None };
    let selection = &mut inserts(&[&format!("{}.*", own.name)]);
    let mut snapshot = Snapshot::plan(&own.client, selection, AT, options).await.unwrap();
    // Whichever was read first.
    assert_eq!(all(&mut snapshot).await.len(), 10);
    let progress = snapshot.progress();
    assert_eq!((progress.ended, progress.refused), (2, 1));
    assert!(progress.to_string().ends_with("1 COULD NOT BE READ"), "{progress}");
}

#[tokio::test]
async fn a_database_that_may_not_be_listed_is_counted() {
    let server = Server::start(Default::default()).unwrap();
    let own = Database::new(server.uri()).await;
    fill(&own, "things", 0..10).await;
    fail_next(&own, "listCollections", 13).await;
    let mut snapshot = plan(&own.client, &format!("{}.*", own.name), None).await;
    assert_eq!(all(&mut snapshot).await.len(), 0);
    assert_eq!(snapshot.progress().refused, 1);
}

#[tokio::test]
async fn a_collection_that_is_dropped_while_it_is_read_ends() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    fill_large(&own, "things", 80).await;
    let options = SnapshotOptions { parallel: 1, progress: None };
    let selection = &mut inserts(&[&format!("{}.things", own.name)]);
    let mut snapshot = Snapshot::plan(&own.client, selection, AT, options).await.unwrap();
    let first = next(&mut snapshot).await.unwrap();
    own.collection("things").drop().await.unwrap();
    assert!(first.len() + all(&mut snapshot).await.len() < 80);
    let progress = snapshot.progress();
    assert_eq!((progress.ended, progress.gone, progress.refused), (1, 1, 0));
}

/// A client that counts the replies with documents that it asks for.
async fn counting(uri: &str) -> (Client, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let mut options = ClientOptions::parse(uri).await.unwrap();
    // After an election the driver looks for the primary at this rhythm.
    options.heartbeat_freq = Some(Duration::from_millis(500));
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
async fn reading_ahead_is_bounded() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    fill_large(&own, "things", 100).await;
    let (client, asked) = counting(server.uri()).await;
    let options = SnapshotOptions { parallel: 1, progress: None };
    let selection = &mut inserts(&[&format!("{}.things", own.name)]);
    let mut snapshot = Snapshot::plan(&client, selection, AT, options).await.unwrap();
    let first = next(&mut snapshot).await.unwrap();
    // Until the readers ask for nothing more.
    let mut before = usize::MAX;
    while std::mem::replace(&mut before, asked.load(Ordering::SeqCst)) != asked.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // One was taken, one is on the way, one is in the reader's hand.
    assert!(before <= 3, "{before} replies were asked for");
    assert_eq!(first.len() + all(&mut snapshot).await.len(), 100);
    assert!(asked.load(Ordering::SeqCst) >= 5);
}
