//! The values that plugins keep.

use std::collections::BTreeSet;
use std::time::Duration;

use bson::{Bson, Document, RawDocumentBuf, doc};
use gtm_store::{StateEntry, StateKey, StateQuery, Store, StoreError, StoreKind, StoredTotal};
use redb::{Database as Redb, TableDefinition};

use super::{both, in_directory, key};
use crate::support::Database;

const LONG: Option<Duration> = Some(Duration::from_secs(3600));
const SHORT: Option<Duration> = Some(Duration::from_millis(1));

/// A key that no other test has.
fn state_key(text: &str) -> StateKey {
    StateKey { pipeline: key().pipeline, plugin: "mail".to_owned(), key: text.to_owned() }
}

fn query(of: &StateKey) -> StateQuery {
    StateQuery {
        pipeline: of.pipeline.clone(),
        plugin: of.plugin.clone(),
        prefix: String::new(),
        after: None,
        max_entries: 1000,
        max_bytes: 1 << 20,
    }
}

async fn entries(store: &Store, of: &StateKey) -> Vec<StateEntry> {
    store.state_entries(&query(of)).await.unwrap()
}

async fn kept(store: &Store, of: &StateKey) -> StoredTotal {
    store.state_kept(&of.pipeline, &of.plugin).await.unwrap()
}

/// Waits until a value has expired.
async fn expired(store: &Store, of: &StateKey) {
    while store.state(of).await.unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn stored(own: &Database) -> mongodb::Collection<RawDocumentBuf> {
    own.client.database("gtm").collection("state")
}

async fn document(own: &Database, of: &StateKey) -> Option<RawDocumentBuf> {
    stored(own).find_one(doc! { "_id": id(of) }).await.unwrap()
}

fn id(of: &StateKey) -> Document {
    doc! { "pipeline": &of.pipeline, "plugin": &of.plugin, "key": &of.key }
}

fn binary(bytes: &[u8]) -> Bson {
    bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: bytes.to_vec() }.into()
}

#[tokio::test]
async fn a_value_is_absent_after_its_time_to_live() {
    let (_server, own, _directory, stores) = both().await;
    for store in &stores {
        let of = state_key("k");
        let lasting = StateKey { key: "lasting".to_owned(), ..of.clone() };
        store.set_state(&lasting, b"1", None).await.unwrap();
        store.set_state(&of, b"old", LONG).await.unwrap();
        assert_eq!(store.state(&of).await.unwrap().as_deref(), Some(&b"old"[..]));
        let listed = entries(store, &of).await;
        let left = listed[0].time_to_live.unwrap();
        assert!(left <= LONG.unwrap() && left > Duration::from_secs(1), "{left:?}");
        assert_eq!(listed[1].time_to_live, None);
        assert_eq!(kept(store, &of).await, StoredTotal { entries: 2, bytes: 12 });
        // What is set later has its own time to live.
        store.set_state(&of, b"new", None).await.unwrap();
        assert_eq!(entries(store, &of).await[0].time_to_live, None);
        store.set_state(&of, b"new", SHORT).await.unwrap();
        expired(store, &of).await;
        assert_eq!(entries(store, &of).await.len(), 1);
        assert!(!store.swap_state(&of, Some(b"new"), b"x", None).await.unwrap());
        // It no longer counts, and is removed.
        assert_eq!(kept(store, &of).await, StoredTotal { entries: 1, bytes: 8 });
        assert_eq!(document(&own, &of).await, None);
        store.set_state(&of, b"new", SHORT).await.unwrap();
        expired(store, &of).await;
        assert!(store.swap_state(&of, None, b"again", LONG).await.unwrap());
        assert!(!store.swap_state(&of, None, b"x", None).await.unwrap());
        assert!(store.swap_state(&of, Some(b"again"), b"more", SHORT).await.unwrap());
        expired(store, &of).await;
        assert_eq!(store.increment_state(&of, 5, LONG).await.unwrap(), 5);
        let before = kept(store, &of).await;
        let bytes = store.delete_state(&of).await.unwrap().unwrap();
        assert_eq!(store.delete_state(&of).await.unwrap(), None);
        // What is removed is what counted.
        assert_eq!(before.without(bytes), kept(store, &of).await);
        assert_eq!(store.delete_state(&lasting).await.unwrap(), Some(8));
        assert_eq!(entries(store, &of).await, []);
    }
}

#[tokio::test]
async fn the_server_removes_expired_values_itself() {
    let (_server, own, _directory, [store, _]) = both().await;
    store.set_state(&state_key("k"), b"v", LONG).await.unwrap();
    let indexes = stored(&own).list_indexes().await.unwrap();
    let indexes: Vec<_> = futures_util::TryStreamExt::try_collect(indexes).await.unwrap();
    let is_expiry = |index: &mongodb::IndexModel| {
        let after = index.options.as_ref().and_then(|options| options.expire_after);
        index.keys == doc! { "expires": 1 } && after == Some(Duration::ZERO)
    };
    assert!(indexes.iter().any(is_expiry), "{indexes:?}");
}

/// Each write of the file removes expired values, so that a plugin that never lists or counts does not fill the disk.
#[tokio::test]
async fn writes_to_a_file_remove_expired_values() {
    const EXPIRIES: TableDefinition<'_, (u64, &str, &str, &str), ()> = TableDefinition::new("state_expiries");
    let (_server, own, directory, [_, store]) = both().await;
    let of = state_key("k");
    for n in 0..40 {
        let of = StateKey { key: format!("{n}"), ..of.clone() };
        store.set_state(&of, b"v", SHORT).await.unwrap();
        expired(&store, &of).await;
    }
    for _ in 0..3 {
        store.set_state(&of, b"v", LONG).await.unwrap();
    }
    drop(store);
    let file = Redb::open(directory.path().join("gtm-host.redb")).unwrap();
    let read = redb::ReadableDatabase::begin_read(&file).unwrap();
    let left = redb::ReadableTableMetadata::len(&read.open_table(EXPIRIES).unwrap()).unwrap();
    assert_eq!(left, 1);
    drop((read, file));
    assert_eq!(entries(&in_directory(&directory, &own).await, &of).await.len(), 1);
}

/// An older host knows no time to live: it must read such values on the cluster, and what it writes must last.
#[tokio::test]
async fn a_host_of_another_version_reads_and_writes_the_same_values() {
    let (_server, own, directory, [store, file]) = both().await;
    let of = state_key("k");
    store.set_state(&of, b"v", LONG).await.unwrap();
    let written = document(&own, &of).await.unwrap();
    let [version, bytes] = ["version", "bytes"].map(|name| written.get_i64(name).unwrap());
    assert_eq!((version, bytes, written.get_binary("value").unwrap().bytes), (1, 2, &b"v"[..]));
    let older = doc! { "_id": id(&of), "version": 1, "value": binary(b"41"), "bytes": 3 };
    stored(&own).clone_with_type::<Document>().replace_one(doc! { "_id": id(&of) }, older).await.unwrap();
    assert_eq!(entries(&store, &of).await[0].time_to_live, None);
    assert_eq!(store.increment_state(&of, 1, None).await.unwrap(), 42);
    // It refuses a number by its version.
    assert_eq!(document(&own, &of).await.unwrap().get_i64("version").unwrap(), 2);
    let newer = doc! { "$set": { "version": 3 } };
    stored(&own).update_one(doc! { "_id": id(&of) }, newer).await.unwrap();
    for failed in [store.increment_state(&of, 1, None).await.err(), store.state(&of).await.err()] {
        assert!(matches!(failed, Some(StoreError::Newer { version: 3, known: 2, .. })), "{failed:?}");
    }

    file.set_state(&of, b"v", LONG).await.unwrap();
    drop(file);
    const STATES: TableDefinition<'_, (&str, &str, &str), &[u8]> = TableDefinition::new("state");
    let opened = Redb::open(directory.path().join("gtm-host.redb")).unwrap();
    let write = opened.begin_write().unwrap();
    write.open_table(STATES).unwrap().insert((&*of.pipeline, &*of.plugin, "k"), &b"older"[..]).unwrap();
    write.commit().unwrap();
    drop(opened);
    let file = in_directory(&directory, &own).await;
    assert_eq!(file.state(&of).await.unwrap().as_deref(), Some(&b"older"[..]));
    let lasting = StateEntry { key: "k".to_owned(), value: b"older".to_vec(), time_to_live: None };
    assert_eq!(entries(&file, &of).await, [lasting]);
    file.delete_state(&of).await.unwrap();
    assert_eq!(entries(&file, &of).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn increments_at_the_same_time_all_count() {
    const TASKS: i64 = 8;
    const EACH: i64 = 20;
    let (server, _own, _directory, [cluster, file]) = both().await;
    let client = mongodb::Client::with_uri_str(server.uri()).await.unwrap();
    let second = Store::open(&StoreKind::Mongodb, &client).await.unwrap();
    for [one, other] in [[&cluster, &second], [&file, &file]] {
        for before in [None, Some(b"100")] {
            let of = state_key("count");
            if let Some(before) = before {
                one.set_state(&of, before, None).await.unwrap();
            }
            let tasks = (0..TASKS).map(|task| {
                let (store, of) = (if task % 2 == 0 { one.clone() } else { other.clone() }, of.clone());
                tokio::spawn(async move {
                    let mut sums = Vec::new();
                    for _ in 0..EACH {
                        sums.push(store.increment_state(&of, 3, None).await.unwrap());
                    }
                    sums
                })
            });
            let mut sums = BTreeSet::new();
            for task in tasks.collect::<Vec<_>>() {
                sums.extend(task.await.unwrap());
            }
            let start = if before.is_some() { 100 } else { 0 };
            assert!(sums.into_iter().eq((1..=TASKS * EACH).map(|n| start + 3 * n)));
            let total = (start + 3 * TASKS * EACH).to_string();
            assert_eq!(one.state(&of).await.unwrap(), Some(total.clone().into_bytes()));
            assert_eq!(entries(one, &of).await[0].value, total.as_bytes());
        }
    }
}

#[tokio::test]
async fn a_number_is_bytes_too_and_only_a_number_is_incremented() {
    let (_server, own, _directory, stores) = both().await;
    for store in &stores {
        let of = state_key("n");
        assert_eq!(store.increment_state(&of, -3, LONG).await.unwrap(), -3);
        // It keeps its time to live, or gets another one.
        assert_eq!(store.increment_state(&of, 5, None).await.unwrap(), 2);
        assert!(entries(store, &of).await[0].time_to_live.is_some());
        store.set_state(&of, b"2", LONG).await.unwrap();
        assert_eq!(store.increment_state(&of, 0, None).await.unwrap(), 2);
        assert!(entries(store, &of).await[0].time_to_live.is_some());
        for other in [&b"02"[..], b"3"] {
            assert!(!store.swap_state(&of, Some(other), b"x", None).await.unwrap());
        }
        assert!(store.swap_state(&of, Some(b"2"), b"7", None).await.unwrap());
        assert_eq!(store.increment_state(&of, i64::MAX - 7, None).await.unwrap(), i64::MAX);
        assert_eq!(entries(store, &of).await[0].time_to_live, None);
        let large = store.increment_state(&of, 1, None).await.unwrap_err();
        assert!(
            large.to_string().ends_with("cannot be incremented: the sum does not fit into 64 bits"),
            "{large}"
        );
        assert_eq!(store.increment_state(&of, i64::MIN, None).await.unwrap(), -1);
        assert_eq!(store.increment_state(&of, i64::MIN + 1, None).await.unwrap(), i64::MIN);
        let small = store.increment_state(&of, -1, SHORT).await.unwrap_err();
        assert!(matches!(small, StoreError::NotIncremented { .. }), "{small}");
        assert_eq!(store.state(&of).await.unwrap(), Some(i64::MIN.to_string().into_bytes()));
        assert_eq!(store.increment_state(&of, 1, SHORT).await.unwrap(), i64::MIN + 1);
        expired(store, &of).await;
        store.set_state(&of, b"two", None).await.unwrap();
        let text = store.increment_state(&of, 1, None).await.unwrap_err();
        assert!(text.to_string().ends_with("its value is not a whole number in decimal digits"), "{text}");
        assert_eq!(store.state(&of).await.unwrap().as_deref(), Some(&b"two"[..]));
    }
    // A number that somebody set in mongosh.
    let of = state_key("n");
    for value in [Bson::Double(7.0), Bson::Int32(7), Bson::Int64(7)] {
        let edited = doc! { "_id": id(&of), "version": 1, "value": value };
        let replace = stored(&own).clone_with_type::<Document>();
        replace.replace_one(doc! { "_id": id(&of) }, edited).upsert(true).await.unwrap();
        assert_eq!(stores[0].state(&of).await.unwrap().as_deref(), Some(&b"7"[..]));
        assert_eq!(stores[0].increment_state(&of, 1, None).await.unwrap(), 8);
    }
}

#[tokio::test]
async fn values_are_listed_in_pages_by_prefix() {
    let (_server, _own, _directory, stores) = both().await;
    for store in &stores {
        let of = state_key("");
        let keys = ["(", "(.*)", "^a", "a", "a/", "a/1", "a/10", "a/2", "a0", "ä", "😀", "\u{10ffff}"];
        for (n, key) in keys.iter().enumerate() {
            let of = StateKey { key: (*key).to_owned(), ..of.clone() };
            store.set_state(&of, b"12345", if n % 2 == 0 { LONG } else { None }).await.unwrap();
        }
        // Neighbors that belong to others.
        for (pipeline, plugin) in [(format!("{}0", of.pipeline), "mail"), (of.pipeline.clone(), "mail2")] {
            let other = StateKey { pipeline, plugin: plugin.to_owned(), key: "a/3".to_owned() };
            store.set_state(&other, b"x", None).await.unwrap();
        }
        let gone = StateKey { key: "a/15".to_owned(), ..of.clone() };
        store.set_state(&gone, b"x", SHORT).await.unwrap();
        expired(store, &gone).await;
        for max_entries in [1, 2, 3, 5, 1000] {
            for prefix in ["", "a", "a/", "a/1", "(", "(.*)", ".", "^", "ä", "😀", "\u{10ffff}", "b"] {
                let mut page = StateQuery { prefix: prefix.to_owned(), max_entries, ..query(&of) };
                let mut listed = Vec::new();
                loop {
                    let found = store.state_entries(&page).await.unwrap();
                    assert!(found.len() <= usize::try_from(max_entries).unwrap());
                    let Some(last) = found.last() else { break };
                    page.after = Some(last.key.clone());
                    listed.extend(found.into_iter().map(|entry| entry.key));
                }
                let expected: Vec<_> = keys.iter().copied().filter(|key| key.starts_with(prefix)).collect();
                assert_eq!(listed, expected, "{prefix:?}, {max_entries} at a time");
            }
        }
        let after =
            |after: &str| StateQuery { after: Some(after.to_owned()), prefix: "a/".to_owned(), ..query(&of) };
        for (from, count) in [("", 4), ("a/", 3), ("a/11", 1), ("b", 0)] {
            assert_eq!(store.state_entries(&after(from)).await.unwrap().len(), count, "after {from}");
        }
    }
}

#[tokio::test]
async fn a_page_has_a_limit_in_bytes() {
    let (_server, _own, _directory, stores) = both().await;
    for store in &stores {
        let of = state_key("");
        for (key, bytes) in [("a", 9), ("b", 40), ("c", 9), ("d", 9), ("e", 10)] {
            let of = StateKey { key: key.to_owned(), ..of.clone() };
            store.set_state(&of, &vec![0; bytes], None).await.unwrap();
        }
        let mut pages = Vec::new();
        let mut page = StateQuery { max_bytes: 20, ..query(&of) };
        loop {
            let found = store.state_entries(&page).await.unwrap();
            let Some(last) = found.last() else { break };
            page.after = Some(last.key.clone());
            pages.push(found.into_iter().map(|entry| entry.key).collect::<String>());
        }
        assert_eq!(pages, ["a", "b", "cd", "e"]);
    }
}
