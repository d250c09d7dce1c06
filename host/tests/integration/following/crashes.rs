//! A reader that is killed at any moment, and goes on after the last op that it gave out.

use std::time::Duration;

use bson::spec::BinarySubtype;
use bson::{Binary, Document, Timestamp, doc};
use gtm_test_support::Server;
use nix::sys::signal::Signal;

use crate::support::{Database, Host, create_oplog, op_id, random};

/// How often it is killed.
const ROUNDS: u32 = 200;

fn insert(own: &Database, n: i32) -> Document {
    doc! { "op": "i", "ns": format!("{}.things", own.name), "o": { "_id": n } }
}

/// The next entries, which hold the next ops: an insert alone, a batch of them, or a transaction in two pieces.
fn entries(own: &Database, kind: usize, next: &mut i32, written: &mut u32) -> Vec<Document> {
    let mut insert = || {
        *next += 1;
        insert(own, *next - 1)
    };
    let mut place = || {
        *written += 1;
        Timestamp { time: 1_700_000_000, increment: *written }
    };
    match kind % 3 {
        0 => {
            let mut entry = insert();
            entry.insert("ts", place());
            vec![entry]
        }
        1 => {
            let batch = vec![insert(), insert(), insert()];
            vec![doc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": batch }, "ts": place() }]
        }
        _ => {
            let session = doc! { "id": Binary { subtype: BinarySubtype::Uuid, bytes: vec![7; 16] } };
            let (first, last) = (place(), place());
            let none = doc! { "ts": Timestamp { time: 0, increment: 0 }, "t": -1_i64 };
            let piece = |ops: Vec<Document>, more: Document, previous: Document, ts: Timestamp| {
                let mut command = doc! { "applyOps": ops };
                command.extend(more);
                let number = i64::from(first.increment);
                doc! {
                    "op": "c", "ns": "admin.$cmd", "o": command, "ts": ts, "lsid": &session, "txnNumber": number,
                    "prevOpTime": previous,
                }
            };
            vec![
                piece(vec![insert(), insert()], doc! { "partialTxn": true }, none, first),
                piece(vec![insert()], doc! { "count": 3_i64 }, doc! { "ts": first, "t": 1_i64 }, last),
            ]
        }
    }
}

/// Kills the reader again and again, while `write` brings `total` documents, numbered from 0, at random moments.
async fn killed(arguments: &[&str], start: &str, write: impl AsyncFn(&mut u64), total: impl Fn() -> i64) {
    let (mut state, mut seen, mut from) = (11, 0, start.to_owned());
    let mut round = 0;
    loop {
        round += 1;
        let mut tail = Host::start(&[arguments, &["--start", &from]].concat());
        for _ in 0..random(&mut state) % 4 {
            write(&mut state).await;
        }
        let last_round = round > ROUNDS;
        if !last_round {
            let pause = u64::try_from(random(&mut state) % 250).unwrap();
            tokio::time::sleep(Duration::from_millis(pause)).await;
            tail.signal(Signal::SIGKILL);
        }
        loop {
            if last_round && seen == total() {
                break;
            }
            let Some(line) = tail.line() else { break };
            let op: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(op["documentKey"]["_id"], seen, "round {round}: none missing, none twice");
            seen += 1;
            op_id(&op).clone_into(&mut from);
        }
        if last_round {
            break;
        }
        tail.ended();
    }
    assert_eq!(seen, total());
    assert!(seen > i64::from(ROUNDS), "{seen} were written");
}

#[tokio::test]
async fn the_oplog_resumes_after_any_op() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let oplog = create_oplog(&own, []).await;
    let (next, written) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let write = async |state: &mut u64| {
        let (mut n, mut place) = (next.get(), written.get());
        let entries = entries(&own, random(state), &mut n, &mut place);
        own.collection("oplog").insert_many(entries).await.unwrap();
        next.set(n);
        written.set(place);
    };
    let arguments = ["tail", "--uri", server.uri(), "--source-oplog", &oplog];
    killed(&arguments, "oldest", write, || next.get().into()).await;
}

#[tokio::test]
async fn a_change_stream_resumes_after_any_event() {
    let server = Server::start(Default::default()).unwrap();
    let own = Database::new(server.uri()).await;
    let things = own.collection("things");
    let next = std::cell::Cell::new(0);
    let start = own.now().await;
    let write = async |state: &mut u64| {
        let documents: Vec<_> = (0..=random(state) % 3)
            .map(|_| {
                next.set(next.get() + 1);
                doc! { "_id": next.get() - 1 }
            })
            .collect();
        things.insert_many(documents).await.unwrap();
    };
    let namespace = format!("{}.things", own.name);
    let arguments =
        ["tail", "--uri", server.uri(), "--source-kind", "change-stream", "-n", &namespace, "-O", "insert"];
    killed(&arguments, &start, write, || next.get().into()).await;
}
