//! Snapshots that are stopped and go on, by the store that keeps their progress.

use gtm_oplog::Timestamp;
use gtm_source::{Snapshot, SnapshotError, SnapshotOptions, SnapshotStage, StoredProgress};
use gtm_store::{Store, StoreKind};
use gtm_test_support::Server;

use super::failing::fail_next;
use super::{AT, all, counted, fill, fill_large, inserts, key, mixed, next, plan, progress, progress_key};
use crate::support::{Database, random};

#[tokio::test]
async fn a_snapshot_that_is_dropped_at_any_point_resumes_there() {
    let (_server, own, ids) = mixed().await;
    fill(&own, "few", -10..0).await;
    let (_directory, _store, kept) = progress(&own.client).await;
    let pattern = format!("{}.*", own.name);
    assert_eq!(Snapshot::stage(&kept, &inserts(&[&pattern])).await.unwrap(), SnapshotStage::None);

    let (mut confirmed, mut given_up) = (Vec::new(), Vec::new());
    let mut state = 42;
    for round in 1.. {
        assert!(round < 40, "it comes to its end");
        let mut snapshot = plan(&own.client, &pattern, Some(kept.clone())).await;
        let earlier = u64::try_from(confirmed.len()).unwrap();
        assert_eq!((snapshot.progress().documents, snapshot.progress().earlier), (earlier, earlier));
        for _ in 0..random(&mut state) % 6 {
            confirmed.extend(next(&mut snapshot).await.unwrap_or_default());
        }
        snapshot.settle().await.unwrap();
        // A crash comes while these are in work.
        match snapshot.next().await.unwrap() {
            Some(batch) => given_up.extend(batch.ops),
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
    let stage = Snapshot::stage(&kept, &inserts(&[&pattern])).await.unwrap();
    assert_eq!(stage, SnapshotStage::Complete(AT));
    let mut again = plan(&own.client, &pattern, Some(kept)).await;
    assert!(again.next().await.unwrap().is_none(), "a complete snapshot is not taken again");
    assert_eq!(again.progress().documents, u64::try_from(ids.len()).unwrap() + 10);
}

#[tokio::test]
async fn a_snapshot_that_resumes_keeps_its_time_and_leaves_new_collections_to_the_stream() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    fill(&own, "stays", 0..20).await;
    fill(&own, "again", 0..20).await;
    let (_directory, _store, kept) = progress(&own.client).await;
    let pattern = format!("{}.*", own.name);
    drop(plan(&own.client, &pattern, Some(kept.clone())).await);
    let stage = Snapshot::stage(&kept, &inserts(&[&pattern])).await.unwrap();
    assert_eq!(stage, SnapshotStage::Unfinished(AT));

    own.collection("again").drop().await.unwrap();
    fill(&own, "again", 0..10).await;
    fill(&own, "new", 0..10).await;
    let later = Timestamp { time: AT.time + 1, increment: 1 };
    let options = SnapshotOptions { progress: Some(kept), ..SnapshotOptions::default() };
    let mut snapshot = Snapshot::plan(&own.client, &mut inserts(&[&pattern]), later, options).await.unwrap();
    assert_eq!(snapshot.at(), AT);
    let ops = all(&mut snapshot).await;
    assert_eq!(ops.len(), 20);
    assert!(ops.iter().all(|op| op.timestamp == AT && &*op.namespace.collection == "stays"));
    assert_eq!(snapshot.progress().gone, 1);
}

/// What is said of progress with these bytes.
async fn refused(own: &Database, change: impl Fn(String) -> String) -> SnapshotError {
    let (_directory, store, kept) = progress(&own.client).await;
    let pattern = format!("{}.things", own.name);
    drop(plan(&own.client, &pattern, Some(kept.clone())).await);
    let text = store.snapshot_progress(&progress_key()).await.unwrap().unwrap();
    let text = change(String::from_utf8(text).unwrap());
    store.save_snapshot_progress(&progress_key(), text.as_bytes()).await.unwrap();
    let options = SnapshotOptions { progress: Some(kept), ..SnapshotOptions::default() };
    Snapshot::plan(&own.client, &mut inserts(&[&pattern]), AT, options).await.unwrap_err()
}

#[tokio::test]
async fn progress_that_does_not_fit_is_refused() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    fill(&own, "things", 0..10).await;
    let error = refused(&own, |text| text.replace("\"rs0\"", "\"rs1\"")).await;
    assert!(matches!(error, SnapshotError::OtherDeployment { .. }), "{error}");
    assert!(error.to_string().contains("of \"rs1\", and this is \"rs0\""), "{error}");
    let error = refused(&own, |text| text.replace("\"version\":1", "\"version\":2")).await;
    assert!(error.to_string().contains("newer gtm-host (version 2; this one knows 1)"), "{error}");
    for corrupt in [
        |text: String| text.replace("\"version\":1", "\"version\":\"x\""),
        |text: String| text.replace("\"at\"", "\"atta\""),
        |text: String| text.replace("\"ranges\":[{", "\"ranges\":[{\"last\":{\"x\":1},"),
        |text: String| text[..text.len() / 2].to_owned(),
        |_: String| String::new(),
    ] {
        let error = refused(&own, corrupt).await;
        assert!(matches!(error, SnapshotError::Corrupt { .. }), "{error}");
        assert!(error.to_string().starts_with("the stored progress of the snapshot is damaged: "), "{error}");
    }

    let (_directory, _store, kept) = progress(&own.client).await;
    drop(plan(&own.client, &format!("{}.things", own.name), Some(kept.clone())).await);
    let error = Snapshot::stage(&kept, &inserts(&["other.*"])).await.unwrap_err();
    assert!(matches!(error, SnapshotError::OtherSelection), "{error}");
}

#[tokio::test]
async fn progress_that_cannot_be_stored_is_an_error() {
    let server = Server::start(Default::default()).unwrap();
    let own = Database::new(server.uri()).await;
    let store = Store::open(&StoreKind::Mongodb, &own.client).await.unwrap();
    let kept = Some(StoredProgress { store: store.progress(progress_key()), deployment: "rs0".to_owned() });
    fail_next(&own, "update", 13).await;
    let options = SnapshotOptions { progress: kept, ..SnapshotOptions::default() };
    let error = Snapshot::plan(&own.client, &mut inserts(&["a.b"]), AT, options).await.unwrap_err();
    assert!(error.to_string().starts_with("the progress of the snapshot cannot be stored: "), "{error}");
    assert!(error.to_string().contains("may not use the store, the database gtm"), "{error}");
}

#[tokio::test]
async fn a_dropped_call_loses_nothing() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    fill_large(&own, "things", 40).await;
    let (_directory, _store, kept) = progress(&own.client).await;
    let mut snapshot = plan(&own.client, &format!("{}.things", own.name), Some(kept)).await;
    let mut ops = Vec::new();
    loop {
        tokio::select! {
            biased;
            more = snapshot.next() => match more.unwrap() {
                Some(more) => {
                    ops.extend(more.ops);
                    more.ack.done();
                }
                None => break,
            },
            () = tokio::task::yield_now() => {}
        }
    }
    let counts = counted(&ops);
    assert_eq!((counts.len(), ops.len()), (40, 40));
}

#[tokio::test]
async fn a_batch_whose_ack_is_dropped_is_read_again_with_all_after_it() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    fill_large(&own, "things", 40).await;
    let (_directory, _store, kept) = progress(&own.client).await;
    let pattern = format!("{}.things", own.name);
    let mut snapshot = plan(&own.client, &pattern, Some(kept.clone())).await;
    let done = next(&mut snapshot).await.unwrap();
    let dropped = snapshot.next().await.unwrap().unwrap().ops;
    let after = all(&mut snapshot).await;
    assert_eq!(done.len() + dropped.len() + after.len(), 40, "it reads on");
    let mut again = plan(&own.client, &pattern, Some(kept)).await;
    let given = all(&mut again).await;
    let counts = counted(&given);
    assert!(dropped.iter().chain(&after).all(|op| counts.contains_key(op.document_key.as_deref().unwrap())));
}
