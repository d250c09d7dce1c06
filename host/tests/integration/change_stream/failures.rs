//! A server that goes away, stumbles, refuses or loses its history.

use std::time::Duration;

use bson::doc;
use gtm_oplog::Selection;
use gtm_source::{ChangeStream, Position, Scope, StartAt, StreamError, StreamOptions};
use gtm_test_support::{Server, ServerOptions};
use mongodb::Client;

use super::{create, ids, insert, open, ops, seen, things};
use crate::support::{Database, LIMIT};

/// Makes the next commands of a name fail with a code.
async fn fail(own: &Database, command: &str, times: i32, code: i32) {
    let data = doc! { "failCommands": [command], "errorCode": code };
    let fail = doc! { "configureFailPoint": "failCommand", "mode": { "times": times }, "data": data };
    own.client.database("admin").run_command(fail).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_killed_and_restarted_is_followed_from_where_it_was() {
    let mut server = Server::start(ServerOptions::default()).unwrap();
    let own = Database::new(server.uri()).await;
    create(&own).await;
    let mut stream = open(&own.client, Scope::Deployment, StartAt::Now).await.unwrap();
    let mut read = Vec::new();
    for round in 0..3 {
        insert(&own, round * 5..round * 5 + 5).await;
        // Some of it is read before the crash, and the rest after it.
        if round != 1 {
            read.extend(ops(&mut stream, &own, 5).await);
        }
        server.kill().unwrap();
        let down = tokio::time::timeout(Duration::from_millis(300), stream.next()).await;
        assert!(!matches!(down, Ok(Err(_))), "it is waited for");
        server.restart().unwrap();
        if let Ok(Ok(next)) = down {
            read.extend(next.ops.into_iter().filter(|op| *op.namespace.database == *own.name));
        }
        let missing = usize::try_from(round * 5 + 5).unwrap() - read.len();
        read.extend(ops(&mut stream, &own, missing).await);
    }
    assert_eq!(ids(&read), (0..15).collect::<Vec<_>>(), "none missing, none twice");
}

#[tokio::test]
async fn a_temporary_error_of_the_server_is_retried() {
    let server = Server::start(ServerOptions::default()).unwrap();
    // The driver looks again at a server that is not the primary after this time, by default 10 seconds.
    let own = Database::new(&format!("{}&heartbeatFrequencyMS=500", server.uri())).await;
    create(&own).await;
    fail(&own, "aggregate", 2, 189).await;
    let mut stream = open(&own.client, things(&own), StartAt::Now).await.unwrap();
    // CursorNotFound, CappedPositionLost, QueryPlanKilled, PrimarySteppedDown, CursorKilled, NotWritablePrimary,
    // InterruptedAtShutdown
    for (id, code) in (0..).zip([43, 136, 175, 189, 237, 10107, 11600]) {
        fail(&own, "getMore", 1, code).await;
        insert(&own, [id]).await;
        assert_eq!(ids(&ops(&mut stream, &own, 1).await), [id], "{code}");
    }
}

/// How a stream ends that is opened, or read, while a command fails with a code.
async fn ended_by(own: &Database, command: &str, code: i32) -> StreamError {
    if command == "aggregate" {
        fail(own, command, 1, code).await;
    }
    let mut stream = match open(&own.client, things(own), StartAt::Now).await {
        Ok(stream) => stream,
        Err(error) => return error,
    };
    stream.next().await.unwrap();
    fail(own, command, 1, code).await;
    tokio::time::timeout(LIMIT, stream.next()).await.unwrap().unwrap_err()
}

#[tokio::test]
async fn a_permanent_error_is_returned_with_its_reason() {
    let server = Server::start(ServerOptions::default()).unwrap();
    let own = Database::new(server.uri()).await;
    let error = ended_by(&own, "getMore", 286).await;
    assert!(matches!(&error, StreamError::HistoryLost { position: StartAt::After(_), .. }), "{error:?}");
    let said = error.to_string();
    assert!(said.starts_with("history is lost: the change stream of the collection gtm_test_"), "{said}");
    assert!(said.contains("cannot resume from the resume token "), "{said}");
    assert!(matches!(ended_by(&own, "aggregate", 280).await, StreamError::Fatal { .. }));
    assert!(matches!(ended_by(&own, "getMore", 260).await, StreamError::InvalidToken { .. }));
    let said = ended_by(&own, "getMore", 10334).await.to_string();
    assert!(said.contains("is larger than 16 MB") && said.contains("from 6.0.9 and 7.0 on"), "{said}");
    assert!(matches!(ended_by(&own, "getMore", 2).await, StreamError::Refused { .. }));
    let said = ended_by(&own, "aggregate", 13).await.to_string();
    assert!(said.contains(r#"grantRolesToUser("USER", [{role: "read", db: "gtm_test_"#), "{said}");
    assert!(matches!(
        ended_by(&own, "aggregate", 2).await,
        StreamError::Refused { position: StartAt::Now, .. }
    ));
}

#[tokio::test]
async fn a_token_whose_event_the_server_does_not_find_is_resumed_at_its_time() {
    let server = Server::start(ServerOptions::default()).unwrap();
    let own = Database::new(server.uri()).await;
    let mut stream = open(&own.client, things(&own), StartAt::Now).await.unwrap();
    insert(&own, [1]).await;
    assert_eq!(ids(&ops(&mut stream, &own, 1).await), [1]);
    fail(&own, "getMore", 1, 280).await;
    insert(&own, [2]).await;
    assert_eq!(ids(&ops(&mut stream, &own, 2).await), [1, 2], "the last one repeats, and none is missing");
}

#[tokio::test]
async fn a_feature_that_the_server_lacks_is_left_out() {
    let server = Server::start(ServerOptions::default()).unwrap();
    let own = Database::new(server.uri()).await;
    // An unknown field of $changeStream: there are no expanded events.
    fail(&own, "aggregate", 1, 40415).await;
    let mut stream = open(&own.client, things(&own), StartAt::Now).await.unwrap();
    insert(&own, [1]).await;
    assert_eq!(seen(&mut stream, &own, 1).await, [r#"insert own.things {"_id":1} {"_id":1}"#]);
    // An unknown stage: not split.
    fail(&own, "aggregate", 1, 40324).await;
    let mut stream = open(&own.client, things(&own), StartAt::Now).await.unwrap();
    insert(&own, [2]).await;
    assert_eq!(seen(&mut stream, &own, 1).await, [r#"insert own.things {"_id":2} {"_id":2}"#]);
}

#[tokio::test]
async fn a_stage_that_no_server_knows_is_refused() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let options = StreamOptions { pipeline: vec![doc! { "$noSuchStage": {} }] };
    let opened =
        ChangeStream::open(&own.client, things(&own), Selection::everything(), StartAt::Now, options);
    let Err(error) = opened.await else { panic!("it should be refused") };
    assert!(error.to_string().contains("$noSuchStage"), "{error}");
}

#[tokio::test]
async fn an_invalid_token_is_refused() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let start = StartAt::After(Position::ChangeStream("82abcd".parse().unwrap()));
    let error = match open(&own.client, things(&own), start).await {
        // A server may look at the token when it is first asked for events.
        Ok(mut stream) => loop {
            if let Err(error) = stream.next().await {
                break error;
            }
        },
        Err(error) => error,
    };
    assert!(matches!(error, StreamError::InvalidToken { .. }), "{error:?}");
    assert!(error.to_string().contains("cannot resume from the resume token 82abcd"), "{error}");
}

#[tokio::test]
async fn a_standalone_server_has_no_change_streams() {
    let server = Server::start(ServerOptions { standalone: true, ..ServerOptions::default() }).unwrap();
    let client = Client::with_uri_str(server.uri()).await.unwrap();
    let Err(error) = open(&client, Scope::Deployment, StartAt::Now).await else {
        panic!("it should be refused")
    };
    assert!(matches!(error, StreamError::NotReplicaSet), "{error:?}");
    assert!(error.to_string().contains("rs.initiate()"), "{error}");
}
