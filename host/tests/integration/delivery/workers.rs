//! Workers that share the work.

use std::collections::HashMap;

use bson::oid::ObjectId;
use gtm_test_support::Server;

use super::ledger::{Ledger, Writer};
use crate::support::{Host, plugin};

#[tokio::test]
async fn each_document_is_exactly_one_workers() {
    for names in [&["Tom", "Dick"][..], &["Tom", "Dick", "Harry"]] {
        let server = Server::ready().unwrap();
        let mut writer = Writer::new(server.uri()).await;
        let directory = tempfile::tempdir().unwrap();
        let list = directory.path().join("workers.json");
        std::fs::write(&list, serde_json::json!({ "workers": names }).to_string()).unwrap();
        let (list, print_ops, pipeline) =
            (list.to_str().unwrap(), plugin("print_ops"), ObjectId::new().to_hex());
        let from = ["--uri", server.uri(), "--source-oplog", &writer.oplog, "--start", "oldest"];
        let shared =
            ["--plugin", &print_ops, "--name", &pipeline, "--workers-file", list, "--admin", "127.0.0.1:0"];
        let hosts: Vec<_> = names
            .iter()
            .map(|name| Host::tailing(&[&from[..], &shared, &["--workers-name", name]].concat()))
            .collect();
        writer.write(500).await;
        let mut union = HashMap::new();
        for host in hosts {
            host.wait_for_position(&format!(".{}", writer.increment)).await;
            let mut ledger = Ledger::default();
            host.signal(nix::sys::signal::Signal::SIGTERM);
            ledger.add(&host.all().1, 0);
            assert!(!ledger.seen.is_empty(), "each has some");
            for (key, n) in ledger.seen {
                assert_eq!(union.insert(key, n), None, "document {key} is one worker's");
            }
        }
        assert_eq!(union, writer.written, "all of it is some worker's");
    }
}
