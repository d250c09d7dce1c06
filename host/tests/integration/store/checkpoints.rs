//! Checkpoints, and who may write them.

use bson::{Document, doc};
use gtm_store::{CheckpointKey, Store, StoreError, StoreKind};
use gtm_test_support::Server;
use mongodb::Client;

use super::{both, checkpoint, in_directory, key};
use crate::support::{Host, namespace, plugin};

#[tokio::test]
async fn a_checkpoint_is_read_as_it_was_written() {
    let (_server, own, directory, stores) = both().await;
    for store in &stores {
        let key = key();
        assert_eq!(store.checkpoint(&key).await.unwrap(), None);
        let second = CheckpointKey { worker: Some("b".to_owned()), ..key.clone() };
        store.save_checkpoint(&key, &checkpoint(1, 1)).await.unwrap();
        store.save_checkpoint(&second, &checkpoint(2, 1)).await.unwrap();
        store.save_checkpoint(&key, &checkpoint(3, 1)).await.unwrap();
        let other = CheckpointKey { plugin: "mail2".to_owned(), ..key.clone() };
        store.save_checkpoint(&other, &checkpoint(4, 1)).await.unwrap();
        assert_eq!(store.checkpoint(&key).await.unwrap(), Some(checkpoint(3, 1)));
        let mut all = store.checkpoints(&key.pipeline, "mail").await.unwrap();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        assert_eq!(all, [(key, checkpoint(3, 1)), (second, checkpoint(2, 1))]);
    }
    drop(stores);
    // It is there after a restart.
    let again = in_directory(&directory, &own).await;
    let key = key();
    again.save_checkpoint(&key, &checkpoint(9, 1)).await.unwrap();
    drop(again);
    assert_eq!(in_directory(&directory, &own).await.checkpoint(&key).await.unwrap(), Some(checkpoint(9, 1)));
}

#[tokio::test]
async fn the_hosts_own_database_can_have_another_name() {
    // A server of its own, as other tests use the database gtm.
    let server = Server::start(Default::default()).unwrap();
    let client = Client::with_uri_str(server.uri()).await.unwrap();
    let print_ops = plugin("print_ops");
    let arguments = ["--plugin", &print_ops, "--uri", server.uri(), "--store-database", "host"];
    let mut host = Host::tailing(&arguments);
    client.database("gtm").collection::<Document>("orders").insert_one(doc! { "_id": 1 }).await.unwrap();
    assert_eq!(namespace(&host.printed("gtm", 1)[0]), "gtm.orders");
    let (code, log) = host.stop();
    assert_eq!(code, Some(0), "{log:?}");
    let mut own = client.database("host").list_collection_names().await.unwrap();
    own.sort_unstable();
    assert_eq!(own, ["checkpoints", "leases"]);
    assert_eq!(client.database("gtm").list_collection_names().await.unwrap(), ["orders"]);
}

#[tokio::test]
async fn a_holder_of_an_older_epoch_writes_nothing() {
    let (_server, _own, _directory, stores) = both().await;
    for store in &stores {
        let key = key();
        let other = store.clone();
        store.save_checkpoint(&key, &checkpoint(1, 4)).await.unwrap();
        other.save_checkpoint(&key, &checkpoint(2, 5)).await.unwrap();
        let error = store.save_checkpoint(&key, &checkpoint(3, 4)).await.unwrap_err();
        assert!(matches!(error, StoreError::Fenced { stored: 5, mine: 4, .. }), "{error}");
        assert_eq!(store.checkpoint(&key).await.unwrap(), Some(checkpoint(2, 5)));
        other.save_checkpoint(&key, &checkpoint(4, 5)).await.unwrap();
    }
}

#[tokio::test]
async fn of_two_holders_that_write_at_once_the_newer_stays() {
    let (_server, _own, _directory, stores) = both().await;
    for store in &stores {
        let key = key();
        let (newer, older) = (checkpoint(2, 2), checkpoint(1, 1));
        let (newer, older) =
            tokio::join!(store.save_checkpoint(&key, &newer), store.save_checkpoint(&key, &older));
        newer.unwrap();
        assert!(matches!(older, Ok(()) | Err(StoreError::Fenced { .. })), "{older:?}");
        assert_eq!(store.checkpoint(&key).await.unwrap(), Some(checkpoint(2, 2)));
    }
}

#[tokio::test]
async fn without_a_store_nothing_is_kept() {
    let client = mongodb::Client::with_uri_str("mongodb://localhost").await.unwrap();
    let store = Store::open(&StoreKind::None, &client).await.unwrap();
    assert!(!store.keeps());
    store.save_checkpoint(&key(), &checkpoint(1, 1)).await.unwrap();
    assert_eq!(store.checkpoint(&key()).await.unwrap(), None);
}
