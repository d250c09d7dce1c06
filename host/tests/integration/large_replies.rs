//! Replies that are too large for the driver.

use bson::doc;
use gtm_test_support::Server;

use crate::support::{Database, Host, plugin};

/// The number of entries of 1 MB. Together they are larger than the driver permits a reply to be, 48 MB.
const ENTRIES: i32 = 60;

#[tokio::test]
async fn fewer_entries_are_asked_for_after_a_reply_that_is_too_large() {
    // mongod sends at most 16 MB, and the test server as many entries of an oplog as it was asked for. The oplog that all tests share
    // must not grow by so much.
    let server = Server::start(Default::default()).unwrap();
    let own = Database::new(server.uri()).await;
    let start = own.now().await;
    let text = "x".repeat(1 << 20);
    for n in 0..ENTRIES {
        own.collection("things").insert_one(doc! { "_id": n, "text": &text }).await.unwrap();
    }
    let (misbehave, namespace) = (plugin("misbehave"), format!("namespace={}.things", own.name));
    let arguments = ["--plugin", &misbehave, "--uri", server.uri(), "--start", &start, "--set", &namespace];
    let mut host = Host::start(&arguments);
    host.wait_for("source.read_failed", &[]);
    for _ in 0..ENTRIES {
        host.wait_for_plugin_log("handled at attempt 1");
    }
    assert_eq!(host.stop().0, Some(0));
}
