//! Documents that people edited or newer hosts wrote, and a server that refuses.

use bson::{Document, doc};
use gtm_oplog::Timestamp;
use gtm_source::Position;
use gtm_store::{Store, StoreError, StoreKind};
use gtm_test_support::Server;

use super::{both, checkpoint, key, letter, op};
use crate::snapshot::failing::fail_next;
use crate::support::{Database, run};

#[tokio::test]
async fn an_edited_checkpoint_is_neither_passed_over_nor_overwritten() {
    let (_server, own, _directory, [store, _]) = both().await;
    let checkpoints = own.client.database("gtm").collection::<Document>("checkpoints");
    for (edit, said) in [
        (doc! { "$set": { "position": "yesterday" } }, "\"yesterday\" is not a valid position"),
        (doc! { "$set": { "position.kind": "kafka" } }, "\"kafka\" is not a known kind of position"),
        (doc! { "$set": { "version": 3 } }, "was written by a newer gtm-host (version 3; this one knows 2)"),
        (doc! { "$set": { "version": 0 } }, "it has the unknown version 0"),
        (doc! { "$set": { "epoch": "x" } }, "its field epoch is not a whole number"),
        (doc! { "$unset": { "epoch": 1 } }, "it has no field epoch"),
        (doc! { "$unset": { "version": 1 } }, "it has no field version"),
        (doc! { "$set": { "workers": [1] } }, "its field workers is not a list of strings"),
    ] {
        let key = key();
        store.save_checkpoint(&key, &checkpoint(1, 1)).await.unwrap();
        let by_plugin = doc! { "_id.pipeline": &key.pipeline };
        checkpoints.update_one(by_plugin.clone(), edit).await.unwrap();
        let before = checkpoints.find_one(by_plugin.clone()).await.unwrap();
        let error = store.checkpoint(&key).await.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        assert!(error.contains(&format!("the checkpoint of the plugin mail of {}", key.pipeline)), "{error}");
        assert_eq!(checkpoints.find_one(by_plugin).await.unwrap(), before);
    }
    // One of a newer version, or with an epoch that cannot be compared, is not overwritten, either.
    for edit in [doc! { "$set": { "version": 3 } }, doc! { "$set": { "epoch": "x" } }] {
        let key = key();
        store.save_checkpoint(&key, &checkpoint(1, 1)).await.unwrap();
        checkpoints.update_one(doc! { "_id.pipeline": &key.pipeline }, edit).await.unwrap();
        let error = store.save_checkpoint(&key, &checkpoint(2, 2)).await.unwrap_err();
        assert!(matches!(error, StoreError::Newer { .. } | StoreError::Damaged { .. }), "{error}");
    }
    // A position as earlier versions stored it, and numbers as a person writes them in mongosh.
    let key = key();
    store.save_checkpoint(&key, &checkpoint(1, 1)).await.unwrap();
    let edit = doc! { "$set": { "version": 1, "position": "Timestamp(1700000000, 9)", "epoch": 1.0 } };
    let by_plugin = doc! { "_id.pipeline": &key.pipeline };
    checkpoints.update_one(by_plugin.clone(), edit).await.unwrap();
    let read = store.checkpoint(&key).await.unwrap().unwrap();
    let entry = Timestamp { time: 1_700_000_000, increment: 9 };
    assert_eq!((read.epoch, read.position), (1, Position::Oplog(entry)));
    // An earlier version refuses the checkpoint that replaces it.
    store.save_checkpoint(&key, &checkpoint(2, 2)).await.unwrap();
    let stored = checkpoints.find_one(by_plugin).await.unwrap().unwrap();
    assert_eq!(stored.get_i64("version").unwrap(), 2);
    assert_eq!(store.checkpoint(&key).await.unwrap(), Some(checkpoint(2, 2)));
}

#[tokio::test]
async fn a_write_that_the_server_refuses_is_an_error() {
    let server = Server::start(Default::default()).unwrap();
    let own = Database::new(server.uri()).await;
    let store = Store::open(&StoreKind::Mongodb, &own.client).await.unwrap();
    fail_next(&own, "update", 13).await;
    let error = store.save_checkpoint(&key(), &checkpoint(1, 1)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unauthorized { .. }), "{error}");
    assert!(error.to_string().starts_with("this user may not use the store, the database gtm"), "{error}");
    fail_next(&own, "update", 96).await;
    let error = store.save_checkpoint(&key(), &checkpoint(1, 1)).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }) && !error.may_pass(), "{error}");
}

#[tokio::test]
async fn a_letter_that_the_server_refuses_as_a_document_is_kept_in_pieces() {
    let server = Server::start(Default::default()).unwrap();
    let own = Database::new(server.uri()).await;
    let store = Store::open(&StoreKind::Mongodb, &own.client).await.unwrap();
    let letter = letter(&own.name, op(1, bson::serialize_to_vec(&doc! { "n": 1 }).unwrap()));
    // InvalidBSON, as of a document that nests too deeply.
    fail_next(&own, "update", 22).await;
    store.add_dead_letter(&letter).await.unwrap();
    let parts = own.client.database("gtm").collection::<Document>("dead_letter_parts");
    let its = doc! { "_id.letter": &letter.id };
    assert_eq!(parts.count_documents(its.clone()).await.unwrap(), 1);
    let found = store.dead_letter(&letter.id).await.unwrap().unwrap();
    assert_eq!(format!("{:?}", found.op), format!("{:?}", letter.op));
    // A piece that is missing is said.
    parts.delete_many(its).await.unwrap();
    let error = store.dead_letter(&letter.id).await.unwrap_err().to_string();
    assert!(error.contains("part 0 of its op is missing") && error.contains(&letter.id), "{error}");
}

#[tokio::test]
async fn a_letter_that_cannot_be_read_is_counted_and_holds_up_no_other() {
    let (_server, own, _directory, [store, _]) = both().await;
    for n in 1..=2 {
        store.add_dead_letter(&letter(&own.name, op(n, Vec::new()))).await.unwrap();
    }
    let letters = own.client.database("gtm").collection::<Document>("dead_letters");
    for edit in [
        doc! { "$set": { "version": 2 } },
        doc! { "$unset": { "version": 1 } },
        doc! { "$set": { "bytes": "many" } },
    ] {
        let first = doc! { "pipeline": &own.name };
        letters.update_one(first, edit).await.unwrap();
        let kept = store.dead_letters_kept(&own.name, "mail").await.unwrap();
        assert_eq!(kept.entries, 2);
    }
}

#[tokio::test]
async fn letters_are_listed_dropped_and_found_beside_one_that_cannot_be_read() {
    let (server, own, _directory, [store, _]) = both().await;
    let mut ids = Vec::new();
    for n in 1..=10 {
        let letter = letter(&own.name, op(n, bson::serialize_to_vec(&doc! { "n": n }).unwrap()));
        store.add_dead_letter(&letter).await.unwrap();
        ids.push(letter.id);
    }
    ids.sort();
    let letters = own.client.database("gtm").collection::<Document>("dead_letters");
    for (id, edit) in
        [(&ids[0], doc! { "$set": { "version": 2 } }), (&ids[4], doc! { "$set": { "op": "nothing" } })]
    {
        letters.update_one(doc! { "_id": id }, edit).await.unwrap();
    }
    let place = ["--store", "mongodb", "--uri", server.uri(), "--name", &own.name];
    let gtm = |arguments: &[&str]| run(&[&["dead-letters"], arguments, &place].concat());
    let (code, out, said) = gtm(&["list"]);
    assert_eq!(code, Some(1), "{out}{said}");
    for id in &ids {
        let is_unreadable = [&ids[0], &ids[4]].contains(&id);
        assert_eq!(
            (out.contains(id.as_str()), said.contains(id.as_str())),
            (!is_unreadable, is_unreadable),
            "{id}: {out}{said}"
        );
    }
    assert!(out.ends_with("8 dead letters: 8 failed, 0 rejected; 2 cannot be read\n"), "{out}");
    assert!(
        said.contains("was written by a newer gtm-host") && said.contains("its field op is not"),
        "{said}"
    );
    let (code, out, _) = gtm(&["list", "--output", "json"]);
    assert_eq!((code, out.lines().count()), (Some(1), 8), "{out}");
    let (code, out, said) = gtm(&["drop", "--all"]);
    assert_eq!((code, out.as_str()), (Some(1), "8 dead letters dropped\n"), "{said}");
    assert_eq!(letters.count_documents(doc! { "pipeline": &own.name }).await.unwrap(), 2);
}
