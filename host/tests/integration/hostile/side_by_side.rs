//! All of them in one host, and beside them one that does nothing wrong.

use bson::doc;
use gtm_test_support::Server;

use super::{GOOD, Parts, Workshop};
use crate::support::{Database, Host, message, plugin, scaled};

#[tokio::test]
async fn the_good_one_gets_every_op_in_its_order() {
    let workshop = Workshop::new();
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let misbehave = plugin("misbehave");
    let ways = [
        "handle=loop",
        "filter=loop",
        "handle=eat-memory",
        "filter=eat-memory",
        "handle=recurse",
        "handle=log",
        "handle=hoard",
        "handle=wait",
        "handle=panic",
        "filter=panic",
        "handle=say-much",
        "handle=print-much",
    ];
    let mut arguments: Vec<String> = vec!["--uri".into(), server.uri().into()];
    for (n, way) in ways.iter().enumerate() {
        let set = [format!("h{n}:{way}"), format!("h{n}:namespace={}.things", own.name)];
        arguments.extend(["--plugin".into(), format!("h{n}={misbehave}")]);
        set.into_iter().for_each(|set| arguments.extend(["--set".into(), set]));
    }
    let by_hand = [
        ("start", Parts { fields: "(func $start (loop (br 0))) (start $start)", ..GOOD }),
        ("nowhere", Parts { handle: "(i32.const -4)", ..GOOD }),
    ];
    for (name, parts) in by_hand {
        let path = workshop.make(name, &parts.wat());
        arguments.extend(["--plugin".into(), path]);
    }
    let print_ops = plugin("print_ops");
    arguments.extend(["--plugin".into(), print_ops, "--limits-memory".into(), "64MiB".into()]);
    arguments.push(format!("--limits-handle-timeout={}ms", scaled(300)));
    arguments.push(format!("--limits-filter-timeout={}ms", scaled(100)));
    for limit in ["--retry-max-attempts=2", "--retry-initial-delay=10ms", "--limits-log-lines=1000"] {
        arguments.push(limit.to_owned());
    }
    arguments.push("--shutdown-grace=100ms".into());
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let mut host = Host::tailing(&arguments);
    for n in 0..50 {
        own.collection("things").insert_one(doc! { "_id": n }).await.unwrap();
    }
    let seen: Vec<_> =
        host.printed(&own.name, 50).iter().map(|op| op["documentKey"]["_id"].as_i64().unwrap()).collect();
    assert_eq!(seen, (0..50).collect::<Vec<_>>());
    let (code, log) = host.stop();
    assert_eq!(code, Some(0), "{:?}", log.iter().map(message).rev().take(5).collect::<Vec<_>>());
}
