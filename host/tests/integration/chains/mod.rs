//! Filters before the filter of a plugin.

mod places;
mod reload;

use std::path::{Path, PathBuf};

use bson::doc;
use gtm_test_support::Server;
use serde_json::Value;

use crate::admin::get;
use crate::log;
use crate::support::{Database, Host, LIMIT, error_of, eventually, message, plugin, run, usage_error_of};
use crate::swapping::{path_in, put};

/// Passes inserts: the operation type of an op is its second field.
const PASSES_INSERTS: &str = "(i32.eqz (i32.load8_u offset=8 (local.get 0)))";

/// Writes a filter by hand, with this body, through `gtm-host componentize`.
pub fn write_filter(body: &str, to: &Path) {
    write_filter_with("", body, to);
}

/// Does the same with these fields beside the functions.
fn write_filter_with(fields: &str, body: &str, to: &Path) {
    let module = format!(
        "(module
            {fields}
            (memory (export \"memory\") 256)
            (global $free (mut i32) (i32.const 4096))
            (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
                (global.set $free (i32.add (local.get $at) (local.get 3)))
                (local.get $at))
            (func (export \"gtm:plugin/filter@0.2.0#filter\") (param i32) (result i32)
                (global.set $free (i32.const 4096))
                {body}))"
    );
    let (core, component) = (to.with_extension("core"), to.with_extension("made"));
    std::fs::write(&core, wat::parse_str(module).unwrap()).unwrap();
    let (code, _, said) = run(&["componentize", core.to_str().unwrap(), "-o", component.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    std::fs::rename(component, to).unwrap();
}

/// A server, a database and a directory with filters for one test.
struct Workshop {
    server: Server,
    own: Database,
    directory: tempfile::TempDir,
}

impl Workshop {
    async fn open() -> Self {
        let server = Server::ready().unwrap();
        let own = Database::new(server.uri()).await;
        Self { own, server, directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        path_in(&self.directory, name)
    }

    /// Returns the path of a filter with this body.
    fn filter(&self, name: &str, body: &str) -> String {
        let path = self.path(name);
        write_filter(body, &path);
        path.to_str().unwrap().to_owned()
    }

    /// Starts a host with `print_ops` on the collection `things`.
    fn host(&self, more: &[&str]) -> Host {
        let namespaces = format!("namespaces={}.*", self.own.name);
        let print_ops = plugin("print_ops");
        let arguments = ["--plugin", &print_ops, "--set", &namespaces, "--uri", self.server.uri()];
        Host::tailing(&[&arguments[..], &["--admin", "127.0.0.1:0"], more].concat())
    }

    async fn insert(&self, ids: impl IntoIterator<Item = i32>) {
        let documents: Vec<_> = ids.into_iter().map(|id| doc! { "_id": id }).collect();
        self.own.collection("things").insert_many(documents).await.unwrap();
    }
}

/// Returns the ids of the documents that a plugin logged.
fn logged_ids(host: &Host, plugin: &str) -> Vec<i64> {
    let own = host.logged().iter().filter(|line| line["plugin"] == plugin && line["event"] == "plugin.log");
    let ops = own.filter_map(|line| serde_json::from_str::<Value>(message(line)).ok());
    ops.filter_map(|op| op["documentKey"]["_id"].as_i64()).collect()
}

/// Waits until a plugin has logged the op on this document.
fn wait_for_id(host: &mut Host, plugin: &str, id: i64) {
    let is_it = |line: &Value| {
        line["plugin"] == plugin
            && serde_json::from_str::<Value>(message(line)).is_ok_and(|op| op["documentKey"]["_id"] == id)
    };
    if !host.logged().iter().any(is_it) {
        host.wait_until("the op", is_it);
    }
}

/// Returns what a filter did for a plugin: the ops that it passed, refused and failed on.
fn counts(status: &Value, plugin: &str, filter: &str) -> [u64; 3] {
    let named = |list: &Value, key: &str, name: &str| {
        list.as_array().unwrap().iter().find(|item| item[key] == name).unwrap().clone()
    };
    let filters = named(&status["plugins"], "plugin", plugin)["filters"].clone();
    let filter = named(&filters, "filter", filter);
    ["passed", "refused", "failed"].map(|key| filter[key].as_u64().unwrap())
}

#[tokio::test]
async fn filters_in_two_languages_are_asked_in_order_up_to_the_first_refusal() {
    let shop = Workshop::open().await;
    let (inserts, sieve) = (shop.filter("inserts.wasm", PASSES_INSERTS), plugin("sieve"));
    let things = format!("sieve:namespace={}.things", shop.own.name);
    let chain = [format!("print_ops:{inserts}"), format!("print_ops:{sieve}")];
    let arguments =
        ["--filter", &chain[0], "--filter", &chain[1], "--set", "sieve:at_least=2", "--set", &things];
    let mut host = shop.host(&arguments);
    shop.insert(1..=3).await;
    let collection = shop.own.collection("things");
    collection.update_one(doc! { "_id": 3 }, doc! { "$set": { "n": 1 } }).await.unwrap();
    // The sieve does not subscribe to this one.
    shop.own.collection("others").insert_one(doc! { "_id": 7 }).await.unwrap();
    shop.insert([4]).await;
    wait_for_id(&mut host, "print_ops", 4);
    assert_eq!(logged_ids(&host, "print_ops"), [2, 3, 4]);
    let asked = host.logged().iter().filter(|line| line["plugin"] == "sieve").map(message);
    let asked: Vec<_> = asked.filter(|text| text.starts_with("asked")).collect();
    assert_eq!(asked, [1, 2, 3, 4].map(|id| format!("asked about insert {id}")));

    let is_counted = async || {
        let status = host.status();
        counts(&status, "print_ops", "inserts") == [5, 1, 0]
            && counts(&status, "print_ops", "sieve") == [3, 2, 0]
    };
    eventually("the ops are counted", is_counted).await;
    let filters = host.status()["plugins"][0]["filters"].clone();
    assert_eq!((&filters[0]["filter"], &filters[1]["filter"]), (&"inserts".into(), &"sieve".into()));
    for filter in [&filters[0], &filters[1]] {
        assert!(filter["calls"].as_u64() > Some(0) && filter["seconds"].as_f64() > Some(0.0), "{filters}");
    }
    let (_, text, _) = run(&["status", "--admin", &host.address()]);
    let row = |filter: &str| {
        let row = text.lines().position(|line| line.contains(filter) && line.starts_with("print_ops"));
        row.unwrap_or_else(|| panic!("{text}"))
    };
    assert!(text.contains("REFUSED") && row(" inserts ") < row(" sieve "), "{text}");
    let (_, metrics) = get(&host.address(), "/metrics");
    for sample in [
        "gtm_host_chain_ops_total{plugin=\"print_ops\",filter=\"sieve\",outcome=\"refused\"} 2",
        "gtm_host_chain_ops_total{plugin=\"print_ops\",filter=\"inserts\",outcome=\"passed\"} 5",
        "gtm_host_chain_seconds_total{plugin=\"print_ops\",filter=\"inserts\"} 0.",
    ] {
        assert!(metrics.contains(sample), "{sample}: {metrics}");
    }
    assert_eq!(host.stop().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_is_swapped_while_ops_come() {
    let shop = Workshop::open().await;
    let door = shop.path("door.wasm");
    let (open, closed, broken) = (shop.path("open"), shop.path("closed"), shop.path("broken"));
    write_filter("(i32.const 1)", &open);
    write_filter("(i32.const 0)", &closed);
    write_filter("unreachable", &broken);
    put(&open, &door);
    let mut host = shop.host(&["--filter", door.to_str().unwrap()]);
    let things = shop.own.collection("things");
    let (done, mut is_done) = tokio::sync::oneshot::channel::<()>();
    let writer = tokio::spawn(async move {
        let mut written = 0;
        while is_done.try_recv().is_err() {
            things.insert_many((written..written + 10).map(|n| doc! { "_id": n })).await.unwrap();
            written += 10;
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        written
    });
    wait_for_id(&mut host, "print_ops", 30);
    put(&closed, &door);
    host.wait_for("plugin.swap", &[("plugin", "door")]);
    let refused = async || counts(&host.status(), "print_ops", "door")[1] >= 20;
    eventually("the door is closed", refused).await;
    // A file that is not a filter is refused, and so is a plugin.
    std::fs::write(shop.path("part"), "text").unwrap();
    put(shop.path("part"), &door);
    let failed = host.wait_for("plugin.swap_failed", &[("plugin", "door")]);
    assert!(log::field(&failed, "error").starts_with("the filter "), "{failed}");
    put(plugin("print_ops"), &door);
    let failed = host.wait_for("plugin.swap_failed", &[("plugin", "door")]);
    assert!(log::field(&failed, "error").contains("is a plugin, not a filter"), "{failed}");
    // One that traps is rolled back, and the op is filtered again.
    put(&broken, &door);
    host.wait_for("plugin.roll_back", &[("plugin", "door")]);
    put(&open, &door);
    host.wait_for("plugin.swap", &[("plugin", "door")]);
    let before = logged_ids(&host, "print_ops").len();
    while logged_ids(&host, "print_ops").len() < before + 30 {
        host.wait_until("an op", |line| line["plugin"] == "print_ops");
    }
    done.send(()).unwrap();
    let written = tokio::time::timeout(LIMIT, writer).await.unwrap().unwrap();
    shop.own.collection("things").insert_one(doc! { "_id": written }).await.unwrap();
    wait_for_id(&mut host, "print_ops", written.into());
    let seen = logged_ids(&host, "print_ops");
    assert!(seen.is_sorted_by(|one, next| one < next), "each op once, in its order: {seen:?}");
    assert!(seen.starts_with(&(0..=30).collect::<Vec<_>>()), "{seen:?}");
    assert!(seen.len() < usize::try_from(written).unwrap(), "some were refused");
    let all = async || {
        let [passed, refused, _] = counts(&host.status(), "print_ops", "door");
        // Ops after one on which a filter fails are filtered again.
        passed as usize >= seen.len() && passed + refused > u64::try_from(written).unwrap()
    };
    eventually("all ops are counted", all).await;
    assert_eq!(host.count("op.give_up", &[]), 0);
    assert_eq!(host.stop().0, Some(0));
}

#[tokio::test]
async fn an_op_on_which_a_filter_traps_fails_and_the_others_do_not() {
    let shop = Workshop::open().await;
    let (sieve, inserts) = (plugin("sieve"), shop.filter("inserts.wasm", PASSES_INSERTS));
    let store = format!("file:{}", shop.path("store").display());
    let kept = ["--store", &store, "--name", "letters"];
    let arguments = [
        "--filter",
        &inserts,
        "--filter",
        &sieve,
        // A filter that is listed twice runs once.
        "--filter",
        &inserts,
        "--set",
        "sieve:trap_at=2",
        "--retry-max-attempts",
        "2",
        "--retry-initial-delay",
        "10ms",
    ];
    let mut host = shop.host(&[&arguments[..], &kept].concat());
    shop.insert(1..=4).await;
    let failed = host.wait_for("op.give_up", &[("plugin", "print_ops"), ("attempts", "2")]);
    let error = log::field(&failed, "error");
    assert!(
        error.contains("the filter sieve failed: filter trapped: ") && error.contains("a hole in the sieve"),
        "{error}"
    );
    wait_for_id(&mut host, "print_ops", 4);
    assert_eq!(logged_ids(&host, "print_ops"), [1, 3, 4]);
    let has_failed = async || counts(&host.status(), "print_ops", "sieve")[2] == 2;
    eventually("both attempts are counted", has_failed).await;
    // Of the ops after the failure, only the answers that count: the others were given again. The second attempt asks all filters.
    let status = host.status();
    assert_eq!(counts(&status, "print_ops", "inserts"), [5, 0, 0]);
    let chained = &status["plugins"][0];
    assert_eq!((&chained["counts"]["failed"], chained["filters"].as_array().unwrap().len()), (&1.into(), 2));
    assert_eq!(chained["usage"]["traps"]["trapped"], 2, "{chained}");
    assert_eq!(host.stop().0, Some(0));

    // A dead letter passes through the filters, too.
    let uri = shop.server.uri();
    let retry =
        ["dead-letters", "retry", "--all", "--file", &plugin("print_ops"), "--uri", uri, "--output", "json"];
    let retried = |more: &[&str]| {
        let (_, out, said) = run(&[&retry[..], &kept, more].concat());
        let counts: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{said}"));
        ["handled", "unwanted", "failed", "left"].map(|key| counts[key].as_u64().unwrap())
    };
    assert_eq!(retried(&["--filter", &sieve, "--set", "sieve:trap_at=2"]), [0, 0, 1, 0]);
    assert_eq!(retried(&["--filter", &sieve, "--set", "sieve:at_least=3"]), [0, 1, 0, 0]);
    assert_eq!(retried(&["--filter", &sieve]), [0, 0, 0, 0]);
}

#[test]
fn a_filter_is_described_and_does_not_run_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let (sieve, print_ops) = (plugin("sieve"), plugin("print_ops"));
    let (code, out, said) = run(&["check", &sieve, "--set", "at_least=3"]);
    assert_eq!(code, Some(0), "{out}{said}");
    for part in
        [": a filter for plugins", "at_least (a whole number; default 0): The least", "subscribes to  *"]
    {
        assert!(out.contains(part), "{part}: {out}");
    }
    let (_, out, _) = run(&["check", &sieve, "--output", "json"]);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&found["filter"], &found["plugin"]), (&true.into(), &false.into()));
    let (code, out, said) = run(&["compile", &sieve]);
    assert_eq!(code, Some(0), "{out}{said}");

    let help = format!("help: run it before the filter of a plugin: --filter NAME:{sieve}");
    let said = error_of(&["--plugin", &sieve]);
    assert!(said.contains("is a filter for plugins") && said.contains(&help), "{said}");
    let said = error_of(&["--plugin", &print_ops, "--filter", &plugin("misbehave")]);
    assert!(
        said.contains("the filter misbehave cannot be loaded") && said.contains("is a plugin, not a filter"),
        "{said}"
    );
    let (code, out, said) = run(&["check", &sieve, "--set", "at_laest=3"]);
    assert_eq!(code, Some(1), "{out}{said}");
    for part in
        [": a filter that does not start", "the settings of the filter ", "the settings of the filter are "]
    {
        assert!(out.contains(part), "{part}: {out}");
    }
    let text = path_in(&directory, "text.wasm");
    std::fs::write(&text, "text").unwrap();
    let said = error_of(&["--plugin", &print_ops, "--filter", text.to_str().unwrap()]);
    assert!(said.contains(&format!("the filter {} is not WebAssembly", text.display())), "{said}");
    let empty = path_in(&directory, "empty.wasm");
    std::fs::write(&empty, b"\0asm\x0d\0\x01\0").unwrap();
    let said = error_of(&["--plugin", &print_ops, "--filter", empty.to_str().unwrap()]);
    assert!(said.contains("exports neither gtm:plugin/filter nor gtm:plugin/batch-filter"), "{said}");
    let said = usage_error_of(&["--plugin", &print_ops, "--filter", &format!("other:{sieve}")]);
    assert!(said.contains("there is no plugin other; there are: print_ops"), "{said}");
    let of_another = format!("other:{sieve}");
    let said = usage_error_of(&["try", &print_ops, "--insert", "a.b", "{}", "--filter", &of_another]);
    assert!(said.contains("there is no plugin other; there are: print_ops"), "{said}");
    let said = error_of(&["--plugin", &print_ops, "--filter", &sieve, "--set", "sieve:mesh=3"]);
    assert!(said.contains("mesh"), "{said}");

    let config = path_in(&directory, "gtm.toml");
    let check = |more: &str| {
        std::fs::write(&config, format!("[plugins.a]\npath = {print_ops:?}\n{more}")).unwrap();
        run(&["config", "check", config.to_str().unwrap()])
    };
    for (more, problem) in [
        ("[filters.sieve.config]\nat_least = 3\n".to_owned(), "no plugin has the filter sieve"),
        (format!("filters = [\"x/sieve.wasm\", {sieve:?}]\n"), "are both called sieve"),
        (format!("filters = [\"a.wasm\", {sieve:?}]\n"), "a plugin and a filter are both called a"),
        ("filters = [\"none.wasm\"]\n".to_owned(), "the filter none cannot be loaded"),
    ] {
        let (code, out, said) = check(&more);
        assert!(code != Some(0) && out.contains(problem), "{problem}: {out}{said}");
    }
    let (code, out, said) = check(&format!("filters = [{sieve:?}]\n[filters.sieve.config]\nat_least = 3\n"));
    assert_eq!(code, Some(0), "{out}{said}");
    let shown = [
        "config",
        "show",
        config.to_str().unwrap(),
        "--filter",
        &format!("a:{print_ops}"),
        "--set",
        "sieve:x=1",
    ];
    let (_, out, said) = run(&shown);
    for line in ["filters.sieve.config.at_least = 3", "filters.sieve.config.x = \"(hidden)\""] {
        assert!(out.contains(line), "{out}{said}");
    }
    assert!(out.contains(&format!("plugins.a.filters = [{sieve:?}, {print_ops:?}]")), "{out}{said}");
}

#[test]
fn replays_and_trials_ask_the_chain() {
    let directory = tempfile::tempdir().unwrap();
    let (sieve, print_ops) = (plugin("sieve"), plugin("print_ops"));
    let file = path_in(&directory, "oplog.bson");
    let ts = |increment| bson::Timestamp { time: 1_700_000_000, increment };
    let entries = (1..=5_u32).map(|n| doc! { "op": "i", "ns": "a.things", "o": { "_id": n }, "ts": ts(n) });
    let bytes: Vec<_> = entries.flat_map(|entry| bson::serialize_to_vec(&entry).unwrap()).collect();
    std::fs::write(&file, bytes).unwrap();
    let chain = ["--filter", &sieve, "--set", "sieve:at_least=3"];
    let arguments = ["replay", file.to_str().unwrap(), "--plugin", &print_ops, "--output", "json"];
    let (code, out, said) = run(&[&arguments[..], &chain].concat());
    assert_eq!(code, Some(0), "{said}");
    let summary: Value = serde_json::from_str(&out).unwrap();
    let counts = &summary["plugins"]["print_ops"];
    assert_eq!((&counts["handled"], &counts["unwanted"]), (&3.into(), &2.into()), "{summary}");

    for (id, outcome) in [(2, "unwanted"), (3, "handled")] {
        let document = format!("{{\"_id\":{id}}}");
        let arguments = ["try", &print_ops, "--insert", "a.things", &document];
        let (code, out, said) = run(&[&arguments[..], &chain].concat());
        assert!(code == Some(0) && out.ends_with(&format!("\n  {outcome}\n")), "{out}{said}");
    }
    // A filter is tried by itself, too.
    for (id, outcome) in [(2, "unwanted"), (3, "passed")] {
        let document = format!("{{\"_id\":{id}}}");
        let (code, out, said) =
            run(&["try", &sieve, "--set", "at_least=3", "--insert", "a.things", &document]);
        assert!(code == Some(0) && out.ends_with(&format!("\n  {outcome}\n")), "{out}{said}");
    }
}
