//! A plugin swapped again and again under load: nothing is lost, nothing repeated, and the order stays.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bson::doc;
use gtm_test_support::Server;
use serde_json::Value;

use super::{path_in, put, put_another};
use crate::support::{Database, Host, LIMIT, message, plugin};

const SWAPS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn swaps_under_load_lose_and_repeat_nothing() {
    let (server, directory) = (Server::ready().unwrap(), tempfile::tempdir().unwrap());
    let own = Database::new(server.uri()).await;
    let file = path_in(&directory, "print_ops.wasm");
    put(plugin("print_ops"), &file);
    let namespace = format!("namespaces={}.things", own.name);
    let arguments = [
        "--plugin",
        file.to_str().unwrap(),
        "--uri",
        server.uri(),
        "--set",
        &namespace,
        "--limits-log-lines",
        "1000000",
        "--limits-log-bytes",
        "1GiB",
    ];
    let mut host = Host::tailing(&arguments);

    let things = own.collection("things");
    let (done, mut is_done) = tokio::sync::oneshot::channel::<()>();
    let writer = tokio::spawn(async move {
        let mut written = 0;
        while is_done.try_recv().is_err() {
            things.insert_many((written..written + 100).map(|n| doc! { "_id": n })).await.unwrap();
            written += 100;
        }
        written
    });
    let (mut seen, mut swapped) = (Vec::new(), 0);
    let mut handled_by: HashMap<usize, usize> = HashMap::new();
    put_another("print_ops", 0, &file);
    let mut done = Some(done);
    let mut last = None;
    let deadline = Instant::now() + LIMIT;
    while last.is_none_or(|last| seen.len() < last) {
        assert!(Instant::now() < deadline, "{swapped} swaps, {} ops, of {last:?}", seen.len());
        let line = host.wait_until("an op, or a swap", |line: &Value| line["plugin"] == "print_ops");
        if line["target"] == "plugin" {
            let op: Value = serde_json::from_str(message(&line)).unwrap();
            seen.push(op["documentKey"]["_id"].as_i64().unwrap());
            *handled_by.entry(swapped).or_default() += 1;
        } else if line["event"] == "plugin.swap" {
            swapped += 1;
            if swapped < SWAPS {
                put_another("print_ops", swapped, &file);
            }
        }
        if swapped == SWAPS
            && handled_by.get(&SWAPS).is_some_and(|count| *count > 100)
            && let Some(done) = done.take()
        {
            done.send(()).unwrap();
            // What is written by now is all.
            while !writer.is_finished() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            last = Some(
                usize::try_from(own.collection("things").count_documents(doc! {}).await.unwrap()).unwrap(),
            );
        }
    }
    assert_eq!(writer.await.unwrap(), i32::try_from(seen.len()).unwrap());
    let expected: Vec<_> = (0..i64::try_from(seen.len()).unwrap()).collect();
    assert!(seen == expected, "each op once, in its order");
    assert_eq!(host.stop().0, Some(0));
}
