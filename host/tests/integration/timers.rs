//! Timers: their ticks are delivered at their times, by one host, and none is lost or needlessly repeated.

use bson::oid::ObjectId;
use bson::{Document, doc};
use futures_util::TryStreamExt;
use gtm_store::{Store, StoreKind, TimerKey, TimerProgress};
use gtm_test_support::Server;
use nix::sys::signal::Signal;

use crate::chains::write_filter;
use crate::support::{Database, Host, error_of, eventually, plugin, run};

/// A pipeline whose plugin `chime` records its ticks.
struct Scene {
    own: Database,
    pipeline: String,
    chime: String,
    server: Server,
}

impl Scene {
    async fn new() -> Self {
        Self::on(Server::ready().unwrap()).await
    }

    async fn on(server: Server) -> Self {
        let own = Database::new(server.uri()).await;
        Self { own, pipeline: ObjectId::new().to_hex(), chime: plugin("chime"), server }
    }

    /// Starts a host with this config of the plugin.
    fn start(&self, config: &[&str], more: &[&str]) -> Host {
        let collection = format!("collection={}.ticks", self.own.name);
        let grant = format!("mongodb-write={}.ticks", self.own.name);
        let mut arguments =
            vec!["--plugin", &self.chime, "--uri", self.server.uri(), "--name", &self.pipeline];
        arguments.extend(["--grant", &grant, "--set", &collection, "--log", "info,gtm_delivery=debug"]);
        config.iter().for_each(|value| arguments.extend(["--set", value]));
        Host::start(&[&arguments, more].concat())
    }

    /// The times of all recorded ticks in seconds, in the order in which they were recorded.
    async fn ticks(&self) -> Vec<u32> {
        self.documents().await.iter().map(at).collect()
    }

    async fn documents(&self) -> Vec<Document> {
        let found = self.own.collection("ticks").find(doc! {}).sort(doc! { "_id": 1 }).await.unwrap();
        found.try_collect().await.unwrap()
    }

    async fn until_ticks(&self, count: usize) -> Vec<u32> {
        eventually("the ticks are recorded", async || self.ticks().await.len() >= count).await;
        self.ticks().await
    }

    async fn store(&self) -> Store {
        Store::open(&StoreKind::Mongodb, &self.own.client).await.unwrap()
    }

    fn key(&self) -> TimerKey {
        let (pipeline, plugin, timer) = (self.pipeline.clone(), "chime".to_owned(), "chime".to_owned());
        TimerKey { pipeline, plugin, timer }
    }

    async fn progress(&self) -> Option<TimerProgress> {
        self.store().await.timer(&self.key()).await.unwrap()
    }

    /// Stores that all ticks up to `ago` seconds before now are done, as if no host ran since then. Returns that time.
    async fn outage(&self, schedule: &str, ago: u32, begun: Option<u32>) -> u32 {
        let done = now() - ago;
        let begun = begun.map(|after| done + after);
        let progress = TimerProgress { schedule: schedule.to_owned(), done, begun };
        self.store().await.save_timer(&self.key(), &progress).await.unwrap();
        done
    }

    fn letters(&self, arguments: &[&str]) -> String {
        let place = ["--name", &self.pipeline, "--uri", self.server.uri()];
        let (code, out, said) = run(&[&["dead-letters"], arguments, &place].concat());
        assert_eq!(code, Some(0), "{out}{said}");
        out
    }
}

fn at(document: &Document) -> u32 {
    u32::try_from(document.get_datetime("at").unwrap().timestamp_millis() / 1000).unwrap()
}

fn now() -> u32 {
    gtm_runtime::seconds(std::time::SystemTime::now())
}

/// Asserts that these ticks of a timer that is due each second follow each other, each once.
fn assert_each_once(ticks: &[u32]) {
    let all: Vec<_> = (ticks[0]..).take(ticks.len()).collect();
    assert_eq!(ticks, all);
}

#[tokio::test]
async fn ticks_come_at_their_times_by_an_interval_and_by_a_cron_expression() {
    for schedule in ["schedule=1s", "schedule=* * * * * *"] {
        let scene = Scene::new().await;
        let started = now();
        let mut host = scene.start(&[schedule, "missed=each"], &["--admin", "127.0.0.1:0"]);
        host.wait_for("timer.tick", &[("timer", "chime"), ("outcome", "handled")]);
        let ticks = scene.until_ticks(3).await;
        assert!(ticks[0] > started && *ticks.last().unwrap() <= now(), "{ticks:?}");
        let status = host.status();
        let timer = &status["plugins"][0]["timers"][0];
        assert_eq!(
            (&timer["timer"], &timer["lastOutcome"]),
            (&"chime".into(), &"handled".into()),
            "{status}"
        );
        assert!(timer["nextSeconds"].as_u64() > timer["lastSeconds"].as_u64(), "{status}");
        assert!(timer["handled"].as_u64().unwrap() >= 1, "{status}");
        let (code, shown, said) = run(&["status", "--admin", &host.address()]);
        assert!(code == Some(0) && shown.contains("PLUGIN  TIMER  NEXT TICK"), "{shown}{said}");
        assert_eq!(host.stop().0, Some(0));
        let documents = scene.documents().await;
        assert_each_once(&documents.iter().map(at).collect::<Vec<_>>());
        let first = &documents[0];
        assert_eq!(first.get_str("id").unwrap(), format!("{}.0.tick-chime", at(first)));
        assert_eq!(first.get_i64("attempt").unwrap(), 1);
        let progress = scene.progress().await.unwrap();
        assert_eq!((progress.done, progress.begun), (at(documents.last().unwrap()), None));
    }
}

#[tokio::test]
async fn missed_ticks_are_skipped_or_delivered_as_the_timer_says() {
    for (missed, count) in [("skip", 0), ("once", 1), ("each", usize::MAX)] {
        let scene = Scene::new().await;
        let done = scene.outage("1h", 5 * 3600, None).await;
        let mut host =
            scene.start(&["schedule=1h", &format!("missed={missed}")], &["--admin", "127.0.0.1:0"]);
        host.wait_for("timer.start", &[]);
        eventually("the timer waits for a tick to come", async || {
            let next = host.status()["plugins"][0]["timers"][0]["nextSeconds"].as_u64();
            next.is_some_and(|next| next > now().into())
        })
        .await;
        let (status, ticks) = (host.status(), scene.ticks().await);
        let all: Vec<_> = (done + 1..=now()).filter(|second| second.is_multiple_of(3600)).collect();
        assert_eq!(ticks, all[all.len().saturating_sub(count)..], "{missed}: {status}");
        if missed != "each" {
            host.wait_for("timer.skip", &[("timer", "chime")]);
        }
        assert_eq!(host.stop().0, Some(0));
    }
}

#[tokio::test]
async fn a_tick_that_was_begun_is_delivered_again_even_if_missed_ticks_are_skipped() {
    let scene = Scene::new().await;
    // It was begun two hours ago, and the host died.
    let done = scene.outage("1h", 3 * 3600, Some(3600)).await;
    let mut host = scene.start(&["schedule=1h", "missed=skip"], &[]);
    host.wait_for("timer.skip", &[]);
    assert_eq!(scene.ticks().await, [done + 3600]);
    assert_eq!(host.stop().0, Some(0));
}

#[tokio::test]
async fn a_tick_that_fails_is_retried_and_becomes_a_dead_letter_that_can_be_retried() {
    let scene = Scene::new().await;
    let done = scene.outage("1h", 3600, None).await;
    let due = (done + 1..).find(|second| second.is_multiple_of(3600)).unwrap();
    let tries = ["--retry-max-attempts", "2", "--retry-initial-delay", "1ms"];
    let mut host = scene.start(&["schedule=1h", "outcome=retry"], &tries);
    let id = format!("{due}.0.tick-chime");
    host.wait_for("op.retry", &[("op", &id)]);
    let line = host.wait_for("op.give_up", &[("op", &id)]);
    host.wait_for("timer.tick", &[("outcome", "failed")]);
    assert_eq!(line["namespace"], "chime", "{line}");
    let attempts: Vec<_> =
        scene.documents().await.iter().map(|tick| tick.get_i64("attempt").unwrap()).collect();
    assert_eq!(attempts, [1, 2]);
    assert_eq!(host.stop().0, Some(0));
    let listed = scene.letters(&["list", "--operation", "tick"]);
    assert!(listed.contains("1 dead letter: 1 failed, 0 rejected"), "{listed}");
    assert!(listed.contains("tick") && listed.contains("chime"), "{listed}");
    let file = format!("chime={}", scene.chime);
    let collection = format!("chime:collection={}.ticks", scene.own.name);
    let grant = format!("chime:mongodb-write={}.ticks", scene.own.name);
    let retry = ["retry", "--plugin", "chime", "--file", &file, "--set", &collection, "--grant", &grant];
    assert_eq!(scene.letters(&retry), "1 handled, 0 failed again, 0 left\n");
    let last = scene.documents().await.pop().unwrap();
    assert_eq!((at(&last), last.get_i64("attempt").unwrap()), (due, 3));
    assert_eq!(last.get_str("id").unwrap(), id);
}

#[tokio::test]
async fn a_tick_that_traps_is_retried_and_one_that_is_rejected_is_not() {
    let scene = Scene::new().await;
    scene.outage("1h", 3600, None).await;
    let quick = ["--retry-initial-delay", "1ms"];
    let mut host = scene.start(&["schedule=1h", "outcome=panic-once"], &quick);
    let line = host.wait_for("op.retry", &[("plugin", "chime")]);
    assert!(line["error"].as_str().unwrap().starts_with("tick trapped: "), "{line}");
    host.wait_for("timer.tick", &[("outcome", "handled")]);
    assert_eq!(host.stop().0, Some(0));
    scene.outage("1h", 3600, None).await;
    let mut host = scene.start(&["schedule=1h", "outcome=reject"], &[]);
    host.wait_for("op.reject", &[("plugin", "chime")]);
    host.wait_for("timer.tick", &[("outcome", "rejected")]);
    assert_eq!(host.count("op.retry", &[]), 0);
    assert_eq!(host.stop().0, Some(0));
}

#[tokio::test]
async fn a_host_that_is_killed_is_followed_by_one_that_ticks_on() {
    let scene = Scene::new().await;
    let lease = ["--lease-ttl", "4s"];
    let mut first = scene.start(&["missed=each"], &lease);
    first.wait_for("timer.start", &[]);
    let mut second = scene.start(&["missed=each"], &lease);
    second.wait_for("lease.standby", &[]);
    scene.until_ticks(2).await;
    first.signal(Signal::SIGKILL);
    assert_eq!(first.ended().0, None);
    let before = scene.ticks().await;
    second.wait_for("lease.take_over", &[]);
    scene.until_ticks(before.len() + 6).await;
    assert_eq!(second.stop().0, Some(0));
    let mut ticks = scene.ticks().await;
    let (count, last) = (ticks.len(), *before.last().unwrap());
    // The tick that the first had begun may be there again, and no other.
    let again = ticks.iter().filter(|tick| **tick == last).count();
    assert!(again <= 2, "{ticks:?}");
    ticks.dedup();
    assert_eq!(ticks.len(), count + 1 - again, "only the last one of the first host: {ticks:?}");
    assert_each_once(&ticks);
}

#[tokio::test]
async fn a_tick_that_a_host_was_killed_in_is_delivered_by_the_next() {
    let scene = Scene::new().await;
    // The plugin sleeps for an hour in it.
    let mut first = scene.start(&["missed=skip", "outcome=sleep"], &["--limits-handle-timeout", "2h"]);
    first.wait_for("timer.start", &[]);
    scene.until_ticks(1).await;
    first.signal(Signal::SIGKILL);
    assert_eq!(first.ended().0, None);
    // So that others are missed in between.
    let begun = scene.progress().await.unwrap().begun.unwrap();
    while now() < begun + 2 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let mut second = scene.start(&["missed=skip"], &[]);
    second.wait_for("timer.skip", &[]);
    let ticks = scene.until_ticks(3).await;
    assert_eq!(second.stop().0, Some(0));
    assert_eq!(ticks[..2], [begun, begun], "by the first and by the second");
    assert!(ticks[2] > begun + 1, "those in between are left out: {ticks:?}");
}

#[tokio::test]
async fn each_timer_is_one_workers() {
    let scene = Scene::new().await;
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("workers.json");
    std::fs::write(&list, r#"{"workers":["Tom","Dick"]}"#).unwrap();
    let timers = ["timer=a,b,c,d,e,f,g,h", "missed=each"];
    let worker = |name| {
        let more =
            ["--workers-file", list.to_str().unwrap(), "--workers-name", name, "--admin", "127.0.0.1:0"];
        scene.start(&timers, &more)
    };
    let mut hosts = [worker("Tom"), worker("Dick")];
    for host in &mut hosts {
        host.wait_for("timer.start", &[]);
    }
    scene.until_ticks(32).await;
    let mut owned = Vec::new();
    for host in hosts {
        let status = host.status();
        let timers = status["plugins"][0]["timers"].as_array().unwrap();
        assert!(!timers.is_empty(), "each has some: {status}");
        owned.extend(timers.iter().map(|timer| timer["timer"].as_str().unwrap().to_owned()));
        assert_eq!(host.stop().0, Some(0));
    }
    owned.sort();
    assert_eq!(owned, ["a", "b", "c", "d", "e", "f", "g", "h"]);
    let mut seen = std::collections::BTreeSet::new();
    for tick in scene.documents().await {
        assert!(seen.insert(tick.get_str("id").unwrap().to_owned()), "twice: {tick}");
    }
}

#[tokio::test]
async fn a_wrong_schedule_refuses_the_plugin() {
    let chime = plugin("chime");
    let refused = |value: &str| {
        let error = error_of(&["--plugin", &chime, "--uri", "mongodb://localhost:1", "--set", value]);
        assert!(error.contains("the timer \"") && error.contains("chime.wasm is not valid: "), "{error}");
        error
    };
    let of_setting = ". The setting schedule sets it. help: pass --set chime:schedule=VALUE, or set schedule under [plugins.chime.config]";
    for (value, part) in [
        (
            "schedule=often",
            "its schedule \"often\" is neither an interval, such as 10m, nor a cron expression of minute, ",
        ),
        (
            "schedule=0 25 * * *",
            "the hour of its cron expression \"0 25 * * *\" is 25. It can be * or numbers from 0 to 23, such as ",
        ),
        ("schedule=0 0 30 2 *", "is never due"),
        ("schedule=1ms", "its interval 1ms is not a whole number of seconds"),
    ] {
        let error = refused(value);
        assert!(error.contains(part) && error.contains(of_setting), "{error}");
    }
    let name = refused("timer=a b");
    assert!(
        name.contains(
            "its name must have 1 to 64 letters, digits, - and _. The setting timer sets it. help: "
        ),
        "{name}"
    );
    let twice = refused("timer=a,a");
    assert!(twice.contains("another timer of the plugin has the same name. help: correct the setting that the timer is made of, if it is one of timer, or the source of the plugin"), "{twice}");
    let names: Vec<_> = (0..17).map(|name| name.to_string()).collect();
    let many = format!("timer={}", names.join(","));
    let error = error_of(&["--plugin", &chime, "--uri", "mongodb://localhost:1", "--set", &many]);
    assert!(error.contains("has 17 timers, and at most 16 are allowed"), "{error}");
}

#[tokio::test]
async fn a_check_and_a_swap_say_which_setting_of_a_timer_is_wrong() {
    let (scene, chime, trivial) = (Scene::new().await, plugin("chime"), plugin("trivial"));
    let wrong = "the hour of its cron expression \"0 25 * * *\" is 25. ";
    let (code, out, _) = run(&["check", &chime, "--set", "schedule=0 25 * * *"]);
    assert!(code == Some(1) && out.contains(": a plugin that does not start with these settings\n"), "{out}");
    assert!(out.contains(wrong) && out.contains("pass --set chime:schedule=VALUE, or "), "{out}");
    let (code, out, _) = run(&["check", &chime, "--set", "schedule=often", "--output", "json"]);
    let checked: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &checked["plugin"]), (Some(1), &true.into()), "{out}");
    let (code, out, _) = run(&["config", "check", "--plugin", &chime, "--set", "schedule=0 25 * * *"]);
    assert!(
        code == Some(1) && out.contains(wrong) && out.contains("pass --set chime:schedule=VALUE"),
        "{out}"
    );
    // A version with timers, for a plugin without any.
    let named = format!("chime={trivial}");
    let set = ["--set", "chime:schedule=0 25 * * *", "--admin", "127.0.0.1:0"];
    let host = Host::tailing(&[&["--plugin", &named, "--uri", scene.server.uri()][..], &set].concat());
    let (code, _, said) = run(&["swap", "chime", &chime, "--admin", &host.address()]);
    assert!(code == Some(1) && said.contains(wrong), "{said}");
    assert!(
        said.contains("help: set schedule under [plugins.chime.config] in gtm.toml, and replace the file "),
        "{said}"
    );
    assert_eq!(host.stop().0, Some(0));
}

#[tokio::test]
async fn a_tick_and_its_retry_pass_a_filter_that_refuses_every_op() {
    let (scene, directory) = (Scene::new().await, tempfile::tempdir().unwrap());
    let closed = directory.path().join("closed.wasm");
    write_filter("(i32.const 0)", &closed);
    scene.outage("1h", 3600, None).await;
    let more = ["--filter", closed.to_str().unwrap(), "--retry-initial-delay", "1ms"];
    let mut host = scene.start(&["schedule=1h", "outcome=panic-once"], &more);
    host.wait_for("op.retry", &[("plugin", "chime")]);
    host.wait_for("timer.tick", &[("outcome", "handled")]);
    let attempts: Vec<_> =
        scene.documents().await.iter().map(|tick| tick.get_i64("attempt").unwrap()).collect();
    assert_eq!(attempts.last(), Some(&2));
    assert_eq!(host.stop().0, Some(0));
}

#[tokio::test]
async fn a_timer_ticks_while_its_progress_cannot_be_stored_which_is_stored_later() {
    let scene = Scene::on(Server::start(Default::default()).unwrap()).await;
    // A lease is renewed by the command that fails: it must outlive this.
    let mut host = scene.start(&["missed=each"], &["--lease-ttl", "1h"]);
    host.wait_for("timer.tick", &[]);
    let admin = scene.own.client.database("admin");
    let data = doc! { "failCommands": ["update"], "errorCode": 13 };
    let fail = doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data };
    admin.run_command(fail).await.unwrap();
    host.wait_for("timer.store_failed", &[("timer", "chime")]);
    let stored = scene.progress().await.unwrap();
    for _ in 0..2 {
        host.wait_for("timer.tick", &[("outcome", "handled")]);
    }
    assert_eq!(scene.progress().await.unwrap(), stored);
    admin.run_command(doc! { "configureFailPoint": "failCommand", "mode": "off" }).await.unwrap();
    host.wait_for("timer.recover", &[("timer", "chime")]);
    assert_eq!(host.count("timer.store_failed", &[]), 1, "it is logged once");
    assert_eq!(host.stop().0, Some(0));
    let ticks = scene.ticks().await;
    assert_each_once(&ticks);
    assert_eq!(scene.progress().await.unwrap().done, *ticks.last().unwrap());
}

#[tokio::test]
async fn changed_settings_change_the_schedule_and_a_wrong_one_changes_nothing() {
    let scene = Scene::new().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gtm.toml");
    let (uri, name, own, chime) = (scene.server.uri(), &scene.pipeline, &scene.own.name, &scene.chime);
    let set = |schedule: &str| {
        let of_plugin = format!(
            "[plugins.chime]\npath = \"{chime}\"\ngrants.mongodb = {{ write = [\"{own}.ticks\"] }}\n\
             config = {{ schedule = \"{schedule}\", collection = \"{own}.ticks\" }}\n"
        );
        std::fs::write(&file, of_plugin).unwrap();
    };
    set("1h");
    let mut host = Host::start(&["--config", file.to_str().unwrap(), "--uri", uri, "--name", name]);
    host.wait_for("timer.start", &[("schedule", "1h")]);
    set("often");
    host.signal(Signal::SIGHUP);
    host.wait_for("plugin.swap_failed", &[]);
    set("1s");
    host.signal(Signal::SIGHUP);
    host.wait_for("timer.start", &[("schedule", "1s")]);
    let ticks = scene.until_ticks(2).await;
    assert!(ticks[0] > now() - 3600, "the hours before were of another schedule: {ticks:?}");
    assert_eq!(host.count("timer.start", &[("schedule", "often")]), 0);
    assert_eq!(host.stop().0, Some(0));
}

#[tokio::test]
async fn a_paused_plugin_does_not_tick() {
    let scene = Scene::new().await;
    let mut host = scene.start(&["missed=once"], &["--admin", "127.0.0.1:0"]);
    host.wait_for("timer.tick", &[]);
    assert_eq!(run(&["pause", "--admin", &host.address()]).0, Some(0));
    host.wait_for("plugin.pause", &[]);
    // The tick that was being handled ends.
    let mut begun = None;
    eventually("a tick waits", async || {
        begun = scene.progress().await.and_then(|progress| progress.begun);
        begun.is_some()
    })
    .await;
    // It may be the tick that was being handled.
    let begun = begun.unwrap();
    while now() < begun + 4 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(scene.ticks().await.iter().all(|tick| *tick <= begun));
    assert_eq!(run(&["resume", "--admin", &host.address()]).0, Some(0));
    host.wait_for("timer.skip", &[]);
    assert_eq!(host.stop().0, Some(0));
}

#[tokio::test]
async fn a_file_store_keeps_the_progress_of_a_timer() {
    let scene = Scene::new().await;
    let directory = tempfile::tempdir().unwrap();
    let store = format!("file:{}", directory.path().display());
    for _ in 0..2 {
        let before = scene.ticks().await.len();
        let mut host = scene.start(&["missed=each"], &["--store", &store]);
        host.wait_for("timer.start", &[]);
        scene.until_ticks(before + 2).await;
        assert_eq!(host.stop().0, Some(0));
    }
    assert_each_once(&scene.ticks().await);
}

#[tokio::test]
async fn try_delivers_a_tick_and_check_shows_the_timers() {
    let chime = plugin("chime");
    let value = ["--set", "collection=shop.ticks"];
    let tried = |more: &[&str]| run(&[&["try", &chime, "--output", "json"], &value[..], more].concat());
    let (code, out, said) = tried(&["--tick", "chime@2026-01-31T12:00:00Z", "--tick", "chime"]);
    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{out}");
    assert_eq!((&lines[0]["outcome"], &lines[0]["op"]["operationType"]), (&"handled".into(), &"tick".into()));
    assert_eq!(lines[0]["effects"][0]["capability"], "mongodb", "{out}");
    assert!(out.contains("1769860800.0.tick-chime"), "{out}");
    let (code, _, said) = tried(&["--tick", "gong"]);
    assert!(
        code == Some(2) && said.contains("the plugin chime has no timer gong. help: use one of chime"),
        "{said}"
    );
    let (code, _, said) = tried(&["--tick", "chime@noon"]);
    assert!(code == Some(2) && said.contains("\"noon\" is not a valid time"), "{said}");
    let (code, out, _) = run(&["check", &chime]);
    assert_eq!(code, Some(0));
    assert!(out.contains("subscribes to  nothing\n  timers         chime: 1s, next 20"), "{out}");
    assert!(out.contains("; missed ticks: once"), "{out}");
    let (_, out, _) = run(&["check", &chime, "--output", "json"]);
    let checked: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&checked["handlesOps"], &checked["timers"][0]["schedule"]),
        (&false.into(), &"1s".into()),
        "{out}"
    );
}

#[tokio::test]
async fn a_dry_run_ticks_without_effects() {
    let scene = Scene::new().await;
    let mut host = scene.start(&[], &["--dry-run"]);
    host.wait_for("dry_run.record", &[("plugin", "chime")]);
    host.wait_for("timer.tick", &[]);
    assert_eq!(host.stop().0, Some(0));
    assert!(scene.ticks().await.is_empty());
    assert_eq!(scene.progress().await, None);
}
