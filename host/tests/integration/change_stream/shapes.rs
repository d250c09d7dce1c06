//! What becomes of the changes that a server makes.

use bson::{Document, doc};
use gtm_oplog::{OpPlace, OperationType, Origin, Selection, Skipped, Timestamp};
use gtm_source::{ChangeStream, Scope, StartAt, StreamOptions};
use gtm_test_support::Server;

use super::{brief, ids, insert, open, ops, seen, things};
use crate::support::Database;

#[tokio::test]
async fn changes_of_documents_come_with_the_documents_before_and_after() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let database = own.client.database(&own.name);
    database
        .run_command(doc! { "create": "things", "changeStreamPreAndPostImages": { "enabled": true } })
        .await
        .unwrap();
    let mut stream = open(&own.client, Scope::Database(own.name.clone()), StartAt::Now).await.unwrap();
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
        let OpPlace::Token(token) = &op.place else { panic!("{:?}", op.place) };
        assert_eq!(op.id().to_string(), format!("{}.{}.{token}", op.timestamp.time, op.timestamp.increment));
    }
    assert_eq!(stream.into_skipped(), Skipped::default());
}

#[tokio::test]
async fn an_update_comes_with_its_document() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    insert(&own, [1]).await;
    let mut stream = open(&own.client, things(&own), StartAt::Now).await.unwrap();
    own.collection("things").update_one(doc! {}, doc! { "$set": { "a": 2 } }).await.unwrap();
    let description = r#"{"updatedFields":{"a":2},"removedFields":[],"truncatedArrays":[]}"#;
    let expected = format!(r#"update own.things {{"_id":1}} {{"_id":1,"a":2}} {description}"#);
    assert_eq!(seen(&mut stream, &own, 1).await, [expected]);
}

#[tokio::test]
async fn commands_come_in_the_shape_of_the_oplog() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let mut stream = open(&own.client, Scope::Deployment, StartAt::Now).await.unwrap();
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
    let mut stream = open(&own.client, Scope::Deployment, StartAt::Now).await.unwrap();
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
    let mut stream = ChangeStream::open(&own.client, scope, selection, StartAt::Now, options).await.unwrap();
    own.collection("others").insert_one(doc! { "_id": 9 }).await.unwrap();
    insert(&own, [1, 2, 3]).await;
    own.collection("things").delete_one(doc! { "_id": 1 }).await.unwrap();
    insert(&own, [4]).await;
    assert_eq!(ids(&ops(&mut stream, &own, 3).await), [1, 3, 4]);
}

/// Three documents of 8 MB: the server has to split it.
#[tokio::test]
async fn an_event_larger_than_a_document_may_be_comes_whole() {
    const MIB: usize = 1 << 20;
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let images = doc! { "create": "things", "changeStreamPreAndPostImages": { "enabled": true } };
    own.client.database(&own.name).run_command(images).await.unwrap();
    let things_of_own = own.collection("things");
    things_of_own.insert_one(doc! { "_id": 1, "text": "a".repeat(8 * MIB) }).await.unwrap();
    let mut stream = open(&own.client, things(&own), StartAt::Now).await.unwrap();
    things_of_own.update_one(doc! {}, doc! { "$set": { "text": "b".repeat(8 * MIB) } }).await.unwrap();
    insert(&own, [2]).await;
    let ops = ops(&mut stream, &own, 2).await;
    assert_eq!(ids(&ops), [1, 2]);
    for part in [&ops[0].full_document, &ops[0].full_document_before_change, &ops[0].update_description] {
        assert!(part.as_ref().unwrap().len() > 8 * MIB);
    }
    assert_eq!(stream.into_skipped(), Skipped::default());
}
