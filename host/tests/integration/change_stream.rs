//! Change streams of a real server, by the library.

use std::time::Duration;

use bson::{Document, RawDocument, doc};
use gtm_host::op::{Op, OperationType, Origin, Place, Timestamp};
use gtm_host::source::change_stream::{ChangeStream, Scope, StreamError, StreamOptions, StreamStart};
use gtm_host::source::{Selection, Skipped};
use mongodb::{Client, Namespace};
use xtask::testbed::{Server, ServerOptions};

use crate::oplog_cases::describe;
use crate::support::{Database, LIMIT};

async fn open(client: &Client, scope: Scope, start: StreamStart) -> Result<ChangeStream, StreamError> {
    ChangeStream::open(client, scope, Selection::everything(), start, StreamOptions::default()).await
}

/// The next `count` ops of a database.
async fn ops(stream: &mut ChangeStream, own: &Database, count: usize) -> Vec<Op> {
    let mut ops = Vec::new();
    let reading = async {
        while ops.len() < count {
            let next = stream.next().await.unwrap();
            ops.extend(next.into_iter().filter(|op| *op.namespace.database == *own.name));
        }
    };
    let done = tokio::time::timeout(LIMIT, reading).await.is_ok();
    assert!(done && ops.len() == count, "{count} ops should have come, not {}", brief(own, &ops).join("\n"));
    ops
}

/// The next `count` ops, each in a line, without what is different in each run.
async fn seen(stream: &mut ChangeStream, own: &Database, count: usize) -> Vec<String> {
    brief(own, &ops(stream, own, count).await)
}

fn brief(own: &Database, ops: &[Op]) -> Vec<String> {
    let line = |op| {
        let described = describe(op);
        let part = |name: &str| described.get(name).map(ToString::to_string).unwrap_or_default();
        let parts =
            ["documentKey", "fullDocument", "fullDocumentBeforeChange", "updateDescription", "command"];
        let line = parts.map(part).join(" ");
        let head =
            format!("{} {}", described["operationType"].as_str().unwrap(), described["ns"].as_str().unwrap());
        let words: Vec<_> = head.split(' ').chain(line.split(' ')).filter(|word| !word.is_empty()).collect();
        words.join(" ").replace(&own.name, "own")
    };
    ops.iter().map(line).collect()
}

fn ids(ops: &[Op]) -> Vec<i32> {
    let id =
        |op: &Op| RawDocument::from_bytes(op.document_key.as_ref().unwrap()).unwrap().get_i32("_id").unwrap();
    ops.iter().map(id).collect()
}

async fn insert(own: &Database, ids: impl IntoIterator<Item = i32>) {
    own.collection("things").insert_many(ids.into_iter().map(|id| doc! { "_id": id })).await.unwrap();
}

async fn create(own: &Database) {
    own.client.database(&own.name).create_collection("things").await.unwrap();
}

fn things(own: &Database) -> Scope {
    Scope::Collection(Namespace { db: own.name.clone(), coll: "things".to_owned() })
}

/// Makes the next commands of a name fail with a code.
async fn fail(own: &Database, command: &str, times: i32, code: i32) {
    let data = doc! { "failCommands": [command], "errorCode": code };
    let fail = doc! { "configureFailPoint": "failCommand", "mode": { "times": times }, "data": data };
    own.client.database("admin").run_command(fail).await.unwrap();
}

#[tokio::test]
async fn changes_of_documents_come_with_the_documents_before_and_after() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let database = own.client.database(&own.name);
    database
        .run_command(doc! { "create": "things", "changeStreamPreAndPostImages": { "enabled": true } })
        .await
        .unwrap();
    let mut stream = open(&own.client, Scope::Database(own.name.clone()), StreamStart::Now).await.unwrap();
    let things = own.collection("things");
    things.insert_one(doc! { "_id": 1, "a": 1, "list": [1, 2, 3] }).await.unwrap();
    things.update_one(doc! {}, doc! { "$set": { "a": 2 }, "$unset": { "list": 1 } }).await.unwrap();
    things.replace_one(doc! {}, doc! { "b": 1 }).await.unwrap();
    things.delete_one(doc! {}).await.unwrap();
    let ops = ops(&mut stream, &own, 4).await;
    let lines = brief(&own, &ops);
    assert_eq!(lines[0], r#"insert own.things {"_id":1} {"_id":1,"a":1,"list":[1,2,3]}"#);
    // The document after an update is looked up when the event is read: it is another by now, or gone.
    assert!(lines[1].starts_with(r#"update own.things {"_id":1}"#), "{}", lines[1]);
    let described = r#"{"_id":1,"a":1,"list":[1,2,3]} {"updatedFields":{"a":2},"removedFields":["list"],"truncatedArrays":[]}"#;
    assert!(lines[1].ends_with(described), "{}", lines[1]);
    assert_eq!(lines[2], r#"replace own.things {"_id":1} {"_id":1,"b":1} {"_id":1,"a":2}"#);
    assert_eq!(lines[3], r#"delete own.things {"_id":1} {"_id":1,"b":1}"#);
    for op in &ops {
        assert_eq!(op.origin, Origin::ChangeStream);
        assert!(op.wall_time.is_some() && op.timestamp > Timestamp::default());
        let Place::Token(token) = &op.place else { panic!("{:?}", op.place) };
        assert_eq!(op.id().to_string(), format!("{}.{}.{token}", op.timestamp.time, op.timestamp.increment));
    }
    assert_eq!(stream.into_skipped(), Skipped::default());
}

#[tokio::test]
async fn an_update_comes_with_its_document() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    insert(&own, [1]).await;
    let mut stream = open(&own.client, things(&own), StreamStart::Now).await.unwrap();
    own.collection("things").update_one(doc! {}, doc! { "$set": { "a": 2 } }).await.unwrap();
    let description = r#"{"updatedFields":{"a":2},"removedFields":[],"truncatedArrays":[]}"#;
    let expected = format!(r#"update own.things {{"_id":1}} {{"_id":1,"a":2}} {description}"#);
    assert_eq!(seen(&mut stream, &own, 1).await, [expected]);
}

#[tokio::test]
async fn commands_come_in_the_shape_of_the_oplog() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let mut stream = open(&own.client, Scope::Deployment, StreamStart::Now).await.unwrap();
    let database = own.client.database(&own.name);
    let run = |command: Document| async { database.run_command(command).await.unwrap() };
    run(doc! { "create": "things" }).await;
    run(doc! { "createIndexes": "things", "indexes": [{ "key": { "a": 1 }, "name": "a_1" }] }).await;
    run(doc! { "dropIndexes": "things", "index": "a_1" }).await;
    run(doc! { "collMod": "things", "validationLevel": "moderate" }).await;
    let rename =
        doc! { "renameCollection": format!("{}.things", own.name), "to": format!("{}.others", own.name) };
    own.client.database("admin").run_command(rename).await.unwrap();
    run(doc! { "drop": "others" }).await;
    run(doc! { "dropDatabase": 1 }).await;
    let seen = seen(&mut stream, &own, 7).await;
    assert!(seen[0].starts_with(r#"create own.things {"create":"things""#), "{}", seen[0]);
    let expected = [
        r#"createIndexes own.things {"createIndexes":"things","v":2,"key":{"a":1},"name":"a_1"}"#,
        r#"dropIndexes own.things {"dropIndexes":"things","index":"a_1"}"#,
        r#"modify own.things {"collMod":"things","validationLevel":"moderate"}"#,
        r#"rename own.things {"renameCollection":"own.things","to":"own.others"}"#,
        r#"drop own.others {"drop":"others"}"#,
        r#"dropDatabase own {"dropDatabase":1}"#,
    ];
    assert_eq!(seen[1..], expected);
}

#[tokio::test]
async fn a_transaction_comes_whole_and_in_its_order() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    insert(&own, [0]).await;
    let mut stream = open(&own.client, Scope::Deployment, StreamStart::Now).await.unwrap();
    let things = own.collection("things");
    let mut session = own.client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    things.insert_one(doc! { "_id": 1 }).session(&mut session).await.unwrap();
    things.update_one(doc! { "_id": 1 }, doc! { "$set": { "a": 1 } }).session(&mut session).await.unwrap();
    things.delete_one(doc! { "_id": 0 }).session(&mut session).await.unwrap();
    session.commit_transaction().await.unwrap();
    insert(&own, [2]).await;
    let ops = ops(&mut stream, &own, 4).await;
    assert_eq!(ids(&ops), [1, 1, 0, 2]);
    let transactions: Vec<_> = ops.iter().map(|op| op.transaction.clone()).collect();
    let id = &transactions[0].as_ref().unwrap().id;
    assert_eq!(id.rsplit_once('.').unwrap().0.len(), 32, "session and number: {id}");
    for (index, transaction) in transactions[..3].iter().enumerate() {
        let transaction = transaction.as_ref().unwrap();
        assert_eq!((&transaction.id, transaction.index as usize), (id, index));
    }
    assert_eq!(transactions[3], None);
}

#[tokio::test]
async fn a_selection_gets_what_it_wants_and_the_pipeline_runs_on_the_server() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let mut selection = Selection::default();
    selection.add("*.things", &[OperationType::Insert]).unwrap();
    let options = StreamOptions { pipeline: vec![doc! { "$match": { "documentKey._id": { "$ne": 2 } } }] };
    let scope = Scope::Database(own.name.clone());
    let mut stream =
        ChangeStream::open(&own.client, scope, selection, StreamStart::Now, options).await.unwrap();
    own.collection("others").insert_one(doc! { "_id": 9 }).await.unwrap();
    insert(&own, [1, 2, 3]).await;
    own.collection("things").delete_one(doc! { "_id": 1 }).await.unwrap();
    insert(&own, [4]).await;
    assert_eq!(ids(&ops(&mut stream, &own, 3).await), [1, 3, 4]);
}

#[tokio::test]
async fn another_stream_goes_on_from_the_position_of_the_first() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    create(&own).await;
    let scope = Scope::Database(own.name.clone());
    let mut stream = open(&own.client, scope.clone(), StreamStart::Now).await.unwrap();
    // The server says where the stream stands before anything has come.
    assert!(stream.next().await.unwrap().is_empty());
    let mut read = Vec::new();
    for round in 0..3 {
        let token = stream.position().unwrap();
        assert_eq!(token.to_string().parse(), Ok(token.clone()));
        drop(stream);
        insert(&own, [round * 4, round * 4 + 1]).await;
        stream = open(&own.client, scope.clone(), StreamStart::After(token.clone())).await.unwrap();
        assert_eq!(stream.position(), Some(token), "nothing was read yet");
        read.extend(ops(&mut stream, &own, 2).await);
        insert(&own, [round * 4 + 2, round * 4 + 3]).await;
        read.extend(ops(&mut stream, &own, 2).await);
    }
    assert_eq!(ids(&read), (0..12).collect::<Vec<_>>(), "none missing, none twice");
    let at = StreamStart::At(read[5].timestamp);
    let mut stream = open(&own.client, scope, at).await.unwrap();
    assert_eq!(ids(&ops(&mut stream, &own, 7).await), (5..12).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_idle_stream_moves_on() {
    let server = Server::start(ServerOptions::default()).unwrap();
    let own = Database::new(server.uri()).await;
    let scope = Scope::Collection(Namespace { db: own.name.clone(), coll: "others".to_owned() });
    let mut stream = open(&own.client, scope, StreamStart::Now).await.unwrap();
    assert!(stream.next().await.unwrap().is_empty());
    let before = stream.position();
    insert(&own, [1]).await;
    let moved = async {
        while stream.position() == before {
            assert!(stream.next().await.unwrap().is_empty());
        }
    };
    tokio::time::timeout(LIMIT, moved).await.unwrap();
}

#[tokio::test]
async fn what_was_read_is_given_once_though_reads_are_dropped() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    create(&own).await;
    let mut stream = open(&own.client, things(&own), StreamStart::Now).await.unwrap();
    let mut read = Vec::new();
    let mut dropped = 0;
    for id in 0..50 {
        insert(&own, [id]).await;
        for _ in 0..3 {
            match tokio::time::timeout(Duration::from_micros(300), stream.next()).await {
                Ok(next) => read.extend(next.unwrap()),
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
async fn a_collection_that_does_not_exist_yet_is_waited_for() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let mut stream = open(&own.client, things(&own), StreamStart::Now).await.unwrap();
    assert!(stream.next().await.unwrap().is_empty());
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
    let mut stream = open(&own.client, things(&own), StreamStart::Now).await.unwrap();
    own.collection("things").drop().await.unwrap();
    assert_eq!(seen(&mut stream, &own, 1).await, [r#"drop own.things {"drop":"things"}"#]);
    // Past the end of the stream, whose token is not that of the drop.
    let token = stream.position().unwrap();
    create(&own).await;
    insert(&own, [2]).await;
    let expected = [r#"create own.things"#, r#"insert own.things {"_id":2} {"_id":2}"#];
    let went_on = seen(&mut stream, &own, 2).await;
    assert!(went_on[0].starts_with(expected[0]), "{went_on:?}");
    assert_eq!(went_on[1], expected[1]);
    let mut again = open(&own.client, things(&own), StreamStart::After(token)).await.unwrap();
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
    let mut stream = open(&own.client, scope, StreamStart::Now).await.unwrap();
    own.client.database(&own.name).drop().await.unwrap();
    create(&own).await;
    insert(&own, [2]).await;
    let seen = seen(&mut stream, &own, 4).await;
    assert_eq!(seen[..2], [r#"drop own.things {"drop":"things"}"#, r#"dropDatabase own {"dropDatabase":1}"#]);
    assert_eq!(seen[3], r#"insert own.things {"_id":2} {"_id":2}"#);
}

#[tokio::test]
async fn a_server_that_is_killed_and_restarted_is_followed_from_where_it_was() {
    let mut server = Server::start(ServerOptions::default()).unwrap();
    let own = Database::new(server.uri()).await;
    create(&own).await;
    let mut stream = open(&own.client, Scope::Deployment, StreamStart::Now).await.unwrap();
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
            read.extend(next.into_iter().filter(|op| *op.namespace.database == *own.name));
        }
        let missing = usize::try_from(round * 5 + 5).unwrap() - read.len();
        read.extend(ops(&mut stream, &own, missing).await);
    }
    assert_eq!(ids(&read), (0..15).collect::<Vec<_>>(), "none missing, none twice");
}

#[tokio::test]
async fn a_server_that_stumbles_is_asked_again() {
    let server = Server::start(ServerOptions::default()).unwrap();
    let own = Database::new(server.uri()).await;
    create(&own).await;
    fail(&own, "aggregate", 2, 189).await;
    let mut stream = open(&own.client, things(&own), StreamStart::Now).await.unwrap();
    // CursorNotFound, CappedPositionLost, QueryPlanKilled, PrimarySteppedDown, CursorKilled, NotWritablePrimary,
    // InterruptedAtShutdown
    for (id, code) in (0..).zip([43, 136, 175, 189, 237, 10107, 11600]) {
        fail(&own, "getMore", 1, code).await;
        insert(&own, [id]).await;
        assert_eq!(ids(&ops(&mut stream, &own, 1).await), [id], "{code}");
    }
}

/// How a stream ends that is opened, or read, while a command fails with a code.
async fn ended_by(command: &str, code: i32) -> StreamError {
    let server = Server::start(ServerOptions::default()).unwrap();
    let own = Database::new(server.uri()).await;
    if command == "aggregate" {
        fail(&own, command, 1, code).await;
    }
    let mut stream = match open(&own.client, things(&own), StreamStart::Now).await {
        Ok(stream) => stream,
        Err(error) => return error,
    };
    stream.next().await.unwrap();
    fail(&own, command, 1, code).await;
    tokio::time::timeout(LIMIT, stream.next()).await.unwrap().unwrap_err()
}

#[tokio::test]
async fn an_end_that_no_second_try_mends_is_told_with_its_remedy() {
    let error = ended_by("getMore", 286).await;
    assert!(matches!(&error, StreamError::HistoryLost { position: StreamStart::After(_), .. }), "{error:?}");
    let said = error.to_string();
    assert!(said.starts_with("history is lost: the change stream of the collection gtm_test_"), "{said}");
    assert!(said.contains("cannot go on from the resume token "), "{said}");
    assert!(matches!(ended_by("getMore", 280).await, StreamError::Fatal { .. }));
    assert!(matches!(ended_by("getMore", 260).await, StreamError::InvalidToken { .. }));
    let said = ended_by("getMore", 10334).await.to_string();
    assert!(said.contains("is larger than 16 MB") && said.contains("From 6.0.9 and 7.0 on"), "{said}");
    assert!(matches!(ended_by("getMore", 2).await, StreamError::Refused { .. }));
    let said = ended_by("aggregate", 13).await.to_string();
    assert!(said.contains(r#"grantRolesToUser("USER", [{role: "read", db: "gtm_test_"#), "{said}");
    assert!(matches!(
        ended_by("aggregate", 2).await,
        StreamError::Refused { position: StreamStart::Now, .. }
    ));
}

#[tokio::test]
async fn what_a_server_does_not_know_is_done_without() {
    let server = Server::start(ServerOptions::default()).unwrap();
    let own = Database::new(server.uri()).await;
    // An unknown field of $changeStream: there are no expanded events.
    fail(&own, "aggregate", 1, 40415).await;
    let mut stream = open(&own.client, things(&own), StreamStart::Now).await.unwrap();
    insert(&own, [1]).await;
    assert_eq!(seen(&mut stream, &own, 1).await, [r#"insert own.things {"_id":1} {"_id":1}"#]);
    // An unknown stage: not split.
    fail(&own, "aggregate", 1, 40324).await;
    let mut stream = open(&own.client, things(&own), StreamStart::Now).await.unwrap();
    insert(&own, [2]).await;
    assert_eq!(seen(&mut stream, &own, 1).await, [r#"insert own.things {"_id":2} {"_id":2}"#]);
}

#[tokio::test]
async fn a_stage_that_no_server_knows_is_refused() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let options = StreamOptions { pipeline: vec![doc! { "$noSuchStage": {} }] };
    let opened =
        ChangeStream::open(&own.client, things(&own), Selection::everything(), StreamStart::Now, options);
    let Err(error) = opened.await else { panic!("it should be refused") };
    assert!(error.to_string().contains("$noSuchStage"), "{error}");
}

#[tokio::test]
async fn a_token_that_is_none_is_refused() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let start = StreamStart::After("82abcd".parse().unwrap());
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
    assert!(error.to_string().contains("cannot go on from the resume token 82abcd"), "{error}");
}

#[tokio::test]
async fn a_standalone_server_has_no_change_streams() {
    let server = Server::start(ServerOptions { standalone: true, ..ServerOptions::default() }).unwrap();
    let client = Client::with_uri_str(server.uri()).await.unwrap();
    let Err(error) = open(&client, Scope::Deployment, StreamStart::Now).await else {
        panic!("it should be refused")
    };
    assert!(matches!(error, StreamError::NotReplicaSet), "{error:?}");
    assert!(error.to_string().contains("rs.initiate()"), "{error}");
}
