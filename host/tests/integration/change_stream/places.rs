//! Where a stream begins and goes on, and where one ends.

use std::time::Duration;

use bson::doc;
use gtm_oplog::{OperationType, Selection};
use gtm_source::{ChangeStream, Position, Scope, Source, StartAt, StreamOptions};
use gtm_test_support::{Server, ServerOptions};
use mongodb::Namespace;

use super::{create, ids, insert, open, ops, seen, things};
use crate::support::{Database, LIMIT};

#[tokio::test]
async fn another_stream_resumes_at_the_position_of_the_first() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    create(&own).await;
    let scope = Scope::Database(own.name.clone());
    let mut stream = open(&own.client, scope.clone(), StartAt::Now).await.unwrap();
    // The server says where the stream stands before anything has come.
    assert!(stream.next().await.unwrap().ops.is_empty());
    let mut read = Vec::new();
    for round in 0..3 {
        let position = stream.position().unwrap();
        assert_eq!(position.to_string().parse(), Ok(position.clone()));
        drop(stream);
        insert(&own, [round * 4, round * 4 + 1]).await;
        stream = open(&own.client, scope.clone(), StartAt::After(position.clone())).await.unwrap();
        assert_eq!(stream.position(), Some(position), "nothing was read yet");
        read.extend(ops(&mut stream, &own, 2).await);
        insert(&own, [round * 4 + 2, round * 4 + 3]).await;
        read.extend(ops(&mut stream, &own, 2).await);
    }
    assert_eq!(ids(&read), (0..12).collect::<Vec<_>>(), "none missing, none twice");
    let at = Position::before(read[5].timestamp).into();
    let mut stream = open(&own.client, scope, at).await.unwrap();
    assert_eq!(ids(&ops(&mut stream, &own, 7).await), (5..12).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_position_of_an_idle_stream_advances() {
    let server = Server::start(ServerOptions::default()).unwrap();
    let own = Database::new(server.uri()).await;
    let scope = Scope::Collection(Namespace { db: own.name.clone(), coll: "others".to_owned() });
    let mut stream = open(&own.client, scope, StartAt::Now).await.unwrap();
    assert!(stream.next().await.unwrap().ops.is_empty());
    let before = stream.position();
    insert(&own, [1]).await;
    let moved = async {
        while stream.position() == before {
            assert!(stream.next().await.unwrap().ops.is_empty());
        }
    };
    tokio::time::timeout(LIMIT, moved).await.unwrap();
}

#[tokio::test]
async fn each_op_is_returned_once_even_if_reads_are_dropped() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    create(&own).await;
    let mut stream = open(&own.client, things(&own), StartAt::Now).await.unwrap();
    let mut read = Vec::new();
    let mut dropped = 0;
    for id in 0..50 {
        insert(&own, [id]).await;
        for _ in 0..3 {
            match tokio::time::timeout(Duration::from_micros(300), stream.next()).await {
                Ok(next) => read.extend(next.unwrap().ops),
                Err(_) => dropped += 1,
            }
        }
    }
    assert!(dropped > 50, "{dropped}");
    let missing = 50 - read.len();
    read.extend(ops(&mut stream, &own, missing).await);
    assert_eq!(ids(&read), (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_collection_that_does_not_exist_yet_can_be_watched() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let mut stream = open(&own.client, things(&own), StartAt::Now).await.unwrap();
    assert!(stream.next().await.unwrap().ops.is_empty());
    create(&own).await;
    insert(&own, [1]).await;
    let seen = ops(&mut stream, &own, 2).await;
    assert_eq!(
        seen.iter().map(|op| op.operation_type).collect::<Vec<_>>(),
        [OperationType::Create, OperationType::Insert]
    );
}

#[tokio::test]
async fn the_stream_of_a_collection_outlives_the_collection() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    insert(&own, [1]).await;
    let mut stream = open(&own.client, things(&own), StartAt::Now).await.unwrap();
    own.collection("things").drop().await.unwrap();
    assert_eq!(seen(&mut stream, &own, 1).await, [r#"drop own.things {"drop":"things"}"#]);
    // Past the end of the stream, whose token is not that of the drop.
    let position = stream.position().unwrap();
    create(&own).await;
    insert(&own, [2]).await;
    let expected = [r#"create own.things"#, r#"insert own.things {"_id":2} {"_id":2}"#];
    let went_on = seen(&mut stream, &own, 2).await;
    assert!(went_on[0].starts_with(expected[0]), "{went_on:?}");
    assert_eq!(went_on[1], expected[1]);
    let mut again = open(&own.client, things(&own), StartAt::After(position)).await.unwrap();
    assert_eq!(seen(&mut again, &own, 2).await, went_on);
    own.client
        .database("admin")
        .run_command(
            doc! { "renameCollection": format!("{}.things", own.name), "to": format!("{}.x", own.name) },
        )
        .await
        .unwrap();
    create(&own).await;
    insert(&own, [3]).await;
    let after_rename = seen(&mut stream, &own, 3).await;
    assert_eq!(after_rename[2], r#"insert own.things {"_id":3} {"_id":3}"#);
}

#[tokio::test]
async fn the_stream_of_a_database_outlives_the_database() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    insert(&own, [1]).await;
    let scope = Scope::Database(own.name.clone());
    let mut stream = open(&own.client, scope, StartAt::Now).await.unwrap();
    own.client.database(&own.name).drop().await.unwrap();
    create(&own).await;
    insert(&own, [2]).await;
    let seen = seen(&mut stream, &own, 4).await;
    assert_eq!(seen[..2], [r#"drop own.things {"drop":"things"}"#, r#"dropDatabase own {"dropDatabase":1}"#]);
    assert_eq!(seen[3], r#"insert own.things {"_id":2} {"_id":2}"#);
}

#[tokio::test]
async fn a_stream_for_another_selection_continues_at_its_position_and_watches_more() {
    let server = Server::ready().unwrap();
    let (own, other) = (Database::new(server.uri()).await, Database::new(server.uri()).await);
    let selection = |databases: &[&Database]| {
        let mut selection = Selection::default();
        for database in databases {
            selection.add(&format!("{}.things", database.name), &[OperationType::Insert]).unwrap();
        }
        selection
    };
    let read = async |stream: &mut ChangeStream, count: usize| {
        let mut read = Vec::new();
        let reading = async {
            while read.len() < count {
                read.extend(ids(&stream.next().await.unwrap().ops));
            }
        };
        tokio::time::timeout(LIMIT, reading).await.unwrap();
        read
    };
    create(&own).await;
    create(&other).await;
    let (start, options) = (StartAt::Now, StreamOptions::default());
    let opened = ChangeStream::open(&own.client, things(&own), selection(&[&own]), start, options);
    let mut stream = opened.await.unwrap();
    assert_eq!(stream.describe(), format!("the change stream of the collection {}.things", own.name));
    // Nothing was read yet: the position is that of the opening.
    insert(&own, [1]).await;
    stream.reselect(selection(&[&own, &other])).await.unwrap();
    assert_eq!(stream.describe(), "the change stream of the deployment");
    insert(&own, [2]).await;
    insert(&other, [3]).await;
    assert_eq!(read(&mut stream, 3).await, [1, 2, 3]);
    // With less to send, it still watches what its position is of.
    stream.reselect(selection(&[&own])).await.unwrap();
    assert_eq!(stream.describe(), "the change stream of the deployment");
    insert(&other, [4]).await;
    insert(&own, [5]).await;
    assert_eq!(read(&mut stream, 1).await, [5]);
}
