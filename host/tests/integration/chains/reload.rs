//! A running host follows the filters in the settings, and their files.

use std::path::PathBuf;

use bson::doc;
use nix::sys::signal::Signal;

use super::{Workshop, counts, logged_ids, wait_for_id, write_filter};
use crate::log;
use crate::support::{Host, eventually, plugin};
use crate::swapping::{put, put_another};

#[tokio::test]
async fn two_plugins_share_a_filter_and_a_change_of_the_settings_changes_the_chain() {
    let shop = Workshop::open().await;
    let (config, sieve) = (shop.path("gtm.toml"), shop.path("sieve.wasm"));
    put(plugin("sieve"), &sieve);
    let write = |chains: [&str; 2], more: &str| {
        let of = |(name, chain)| {
            format!(
                "[plugins.{name}]\npath = {:?}\nconfig.namespaces = \"{}.things\"\nfilters = {chain}\n",
                plugin("print_ops"),
                shop.own.name
            )
        };
        let plugins: String = ["one", "two"].into_iter().zip(chains).map(of).collect();
        std::fs::write(&config, format!("{plugins}{more}")).unwrap();
    };
    let both = ["[\"sieve.wasm\"]"; 2];
    write(both, "[filters.sieve.config]\nat_least = 2\n");
    let arguments =
        ["--config", config.to_str().unwrap(), "--uri", shop.server.uri(), "--admin", "127.0.0.1:0"];
    let mut host = Host::start(&arguments);
    (0..2).for_each(|_| drop(host.wait_for("source.tail", &[])));
    shop.insert(1..=2).await;
    for name in ["one", "two"] {
        wait_for_id(&mut host, name, 2);
        assert_eq!(logged_ids(&host, name), [2]);
    }
    assert_eq!(host.count("plugin.load", &[("plugin", "sieve")]), 1, "it is loaded once");
    for name in ["one", "two"] {
        let is_counted = async || counts(&host.status(), name, "sieve")[..2] == [1, 1];
        eventually("each has its counts", is_counted).await;
    }

    // Another setting of the filter disturbs no plugin.
    write(both, "[filters.sieve.config]\nat_least = 4\n");
    host.signal(Signal::SIGHUP);
    host.wait_for("plugin.swap", &[("plugin", "sieve")]);
    shop.insert(3..=4).await;
    for name in ["one", "two"] {
        wait_for_id(&mut host, name, 4);
        assert_eq!(logged_ids(&host, name), [2, 4]);
    }
    assert_eq!(host.count("plugin.stop", &[]), 0);

    // A setting that the filter refuses leaves it as it is.
    write(both, "[filters.sieve.config]\nat_lest = 4\n");
    host.signal(Signal::SIGHUP);
    let refused = host.wait_for("plugin.swap_failed", &[("plugin", "sieve")]);
    assert!(log::field(&refused, "error").contains("at_least"), "{refused}");

    // Without the filter, the plugin continues where it was.
    write(["[\"sieve.wasm\"]", "[]"], "[filters.sieve.config]\nat_least = 4\n");
    host.signal(Signal::SIGHUP);
    host.wait_for("plugin.chain", &[("plugin", "two")]);
    shop.own.collection("things").update_one(doc! { "_id": 1 }, doc! { "$set": { "n": 1 } }).await.unwrap();
    shop.insert([5]).await;
    wait_for_id(&mut host, "two", 5);
    wait_for_id(&mut host, "one", 5);
    assert_eq!(logged_ids(&host, "one"), [2, 4, 5]);
    assert_eq!(logged_ids(&host, "two"), [2, 4, 1, 5]);

    // Another version is swapped for the plugin that has it, by its file.
    put_another("sieve", 1, &sieve);
    host.wait_for("plugin.swap", &[("plugin", "sieve")]);
    assert_eq!(host.count("plugin.stop", &[]), 0);
    assert_eq!(host.stop().0, Some(0));
}

/// A host with plugins in a settings file.
struct Reloaded {
    shop: Workshop,
    config: PathBuf,
    host: Host,
}

impl Reloaded {
    /// Starts a host with these plugins, each with its file and more of its settings.
    async fn start(shop: Workshop, plugins: &[(&str, &str, &str)]) -> Self {
        Self::start_with(shop, plugins, &[]).await
    }

    async fn start_with(shop: Workshop, plugins: &[(&str, &str, &str)], more: &[&str]) -> Self {
        let config = shop.path("gtm.toml");
        write_settings(&shop, &config, plugins);
        let arguments =
            ["--config", config.to_str().unwrap(), "--uri", shop.server.uri(), "--admin", "127.0.0.1:0"];
        let mut host = Host::start(&[&arguments, more].concat());
        plugins.iter().for_each(|_| drop(host.wait_for("source.tail", &[])));
        Self { shop, config, host }
    }

    fn reload(&self, plugins: &[(&str, &str, &str)]) {
        write_settings(&self.shop, &self.config, plugins);
        self.host.signal(Signal::SIGHUP);
    }
}

fn write_settings(shop: &Workshop, config: &PathBuf, plugins: &[(&str, &str, &str)]) {
    let namespace = format!("config.namespaces = \"{}.things\"", shop.own.name);
    let of = |(name, file, more): &(&str, &str, &str)| {
        format!("[plugins.{name}]\npath = {file:?}\n{namespace}\n{more}\n")
    };
    std::fs::write(config, plugins.iter().map(of).collect::<String>()).unwrap();
}

#[tokio::test]
async fn a_filter_that_cannot_be_loaded_stops_no_other_change() {
    let (shop, print_ops) = (Workshop::open().await, plugin("print_ops"));
    write_filter("(i32.const 1)", &shop.path("open.wasm"));
    std::fs::write(shop.path("sieve.wasm"), "text").unwrap();
    let granted = "filters = [\"open.wasm\"]\ngrants.env = [\"HOME\"]";
    let plugins = [("one", &*print_ops, granted), ("two", &print_ops, "")];
    let mut reloaded = Reloaded::start(shop, &plugins).await;
    // The grant is revoked, even though the filter is not a component. The other plugin gets a filter of its own.
    let revoked = "filters = [\"sieve.wasm\"]";
    let plugins = [("one", &*print_ops, revoked), ("two", &print_ops, "filters = [\"open.wasm\"]")];
    reloaded.reload(&plugins);
    let host = &mut reloaded.host;
    let failed = host.wait_for("plugin.chain_failed", &[("plugin", "one"), ("filters", "open")]);
    assert!(log::field(&failed, "error").contains("the filter sieve cannot be loaded"), "{failed}");
    host.wait_for("audit.grant", &[("plugin", "one"), ("detail", "nothing")]);
    host.wait_for("plugin.chain", &[("plugin", "two"), ("filters", "open")]);
    // Another file that changes does not have it loaded, or reported, again.
    write_filter("(i32.const 0)", &reloaded.shop.path("open.wasm"));
    host.wait_for("plugin.swap", &[("plugin", "open")]);
    assert_eq!(host.count("plugin.chain_failed", &[]), 1);
    // Its own file does.
    put(plugin("sieve"), &reloaded.shop.path("sieve.wasm"));
    host.wait_for("plugin.chain", &[("plugin", "one"), ("filters", "sieve")]);
    reloaded.shop.insert([1]).await;
    wait_for_id(host, "one", 1);
    assert_eq!(host.count("plugin.stop", &[]), 0);
    assert_eq!(reloaded.host.stop().0, Some(0));
}

#[tokio::test]
async fn a_plugin_that_is_not_updated_keeps_its_filter_which_follows_its_file() {
    let (shop, print_ops) = (Workshop::open().await, plugin("print_ops"));
    let door = shop.path("door.wasm");
    write_filter("(i32.const 0)", &door);
    let bad = shop.path("bad.wasm");
    std::fs::write(&bad, "text").unwrap();
    let filtered = "filters = [\"door.wasm\"]";
    let mut reloaded =
        Reloaded::start(shop, &[("one", &*print_ops, filtered), ("two", &print_ops, filtered)]).await;
    // Neither lists it any more: one cannot be updated, and the other is.
    reloaded.reload(&[("one", bad.to_str().unwrap(), ""), ("two", &print_ops, "")]);
    let host = &mut reloaded.host;
    host.wait_for("plugin.swap_failed", &[("plugin", "one")]);
    host.wait_for("plugin.chain", &[("plugin", "two")]);
    reloaded.shop.insert([1]).await;
    wait_for_id(host, "two", 1);
    write_filter("(i32.const 1)", &door);
    host.wait_for("plugin.swap", &[("plugin", "door")]);
    reloaded.shop.insert([2]).await;
    wait_for_id(host, "one", 2);
    assert_eq!(logged_ids(host, "one"), [2]);
    // Nobody has it after the update.
    put(&print_ops, &bad);
    host.wait_for("plugin.swap", &[("plugin", "one")]);
    let none = async || host.status()["plugins"][0]["filters"].is_null();
    eventually("it has no filter", none).await;
    assert_eq!(reloaded.host.stop().0, Some(0));
}

#[tokio::test]
async fn two_filters_of_one_name_concern_the_plugin_that_adds_the_other() {
    let (shop, print_ops) = (Workshop::open().await, plugin("print_ops"));
    for region in ["eu", "us"] {
        std::fs::create_dir(shop.path(region)).unwrap();
        write_filter("(i32.const 1)", &shop.path(region).join("region.wasm"));
    }
    let eu = "filters = [\"eu/region.wasm\"]";
    let plugins = [("one", &*print_ops, eu), ("two", &print_ops, "")];
    let mut reloaded = Reloaded::start(shop, &plugins).await;
    let plugins = [
        ("one", &*print_ops, eu),
        ("three", &print_ops, eu),
        ("two", &print_ops, "filters = [\"us/region.wasm\"]"),
    ];
    reloaded.reload(&plugins);
    let host = &mut reloaded.host;
    let failed = host.wait_for("plugin.chain_failed", &[("plugin", "two")]);
    assert!(log::field(&failed, "error").contains("are both called region"), "{failed}");
    host.wait_for("source.tail", &[("plugin", "three")]);
    reloaded.shop.insert([1]).await;
    for name in ["one", "two", "three"] {
        wait_for_id(host, name, 1);
    }
    assert_eq!(reloaded.host.stop().0, Some(0));
}

#[tokio::test]
async fn a_plugin_whose_filter_cannot_be_loaded_does_not_run_until_it_can() {
    let shop = Workshop::open().await;
    let (config, sieve) = (shop.path("gtm.toml"), shop.path("sieve.wasm"));
    std::fs::write(&sieve, "text").unwrap();
    let print_ops = plugin("print_ops");
    let namespace = format!("config.namespaces = \"{}.things\"", shop.own.name);
    let settings = format!(
        "[plugins.free]\npath = {print_ops:?}\n{namespace}\n[plugins.chained]\npath = {print_ops:?}\n{namespace}\nfilters = [\"sieve.wasm\"]\n"
    );
    std::fs::write(&config, settings).unwrap();
    let mut host = Host::start(&["--config", config.to_str().unwrap(), "--uri", shop.server.uri()]);
    let failed = host.wait_for("plugin.load_failed", &[("plugin", "chained")]);
    assert!(log::field(&failed, "error").contains("the filter sieve cannot be loaded"), "{failed}");
    host.wait_for("source.tail", &[("plugin", "free")]);
    put(plugin("sieve"), &sieve);
    host.wait_for("source.tail", &[("plugin", "chained")]);
    shop.insert([1]).await;
    wait_for_id(&mut host, "chained", 1);
    assert_eq!(host.stop().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_and_other_filters_take_over_together() {
    let shop = Workshop::open().await;
    let (file, cache) = (shop.path("own.wasm"), shop.path("cache"));
    put(plugin("trivial"), &file);
    // The filter refuses each document whose id is not a number. It is not compiled yet, which takes a while.
    put(plugin("sieve"), &shop.path("sieve.wasm"));
    let path = file.to_str().unwrap().to_owned();
    // The previous version prints nothing, and the new one gets nothing.
    let more = ["--no-watch", "--cache-dir", cache.to_str().unwrap()];
    let mut reloaded = Reloaded::start_with(shop, &[("one", &path, "")], &more).await;
    let things = reloaded.shop.own.collection("things");
    let (done, mut is_done) = tokio::sync::oneshot::channel::<()>();
    let writer = tokio::spawn(async move {
        while is_done.try_recv().is_err() {
            things.insert_one(doc! { "n": 1 }).await.unwrap();
        }
    });
    put(plugin("print_ops"), &file);
    reloaded.reload(&[("one", &path, "filters = [\"sieve.wasm\"]")]);
    reloaded.host.wait_for("plugin.chain", &[("plugin", "one"), ("filters", "sieve")]);
    assert_eq!(reloaded.host.count("plugin.swap", &[("plugin", "one")]), 1);
    let host = &reloaded.host;
    let are_refused = async || counts(&host.status(), "one", "sieve")[1] >= 20;
    eventually("the filter refuses what is written now", are_refused).await;
    done.send(()).unwrap();
    writer.await.unwrap();
    assert_eq!(
        host.count("plugin.log", &[("plugin", "one")]),
        0,
        "of the new version with the former filters"
    );
    let (code, rest) = reloaded.host.stop();
    assert_eq!((code, log::count(&rest, "plugin.log", &[("plugin", "one")])), (Some(0), 0), "{rest:?}");
}

#[tokio::test]
async fn a_plugin_keeps_its_version_while_its_filters_cannot_be_used() {
    let shop = Workshop::open().await;
    let (file, sieve) = (shop.path("own.wasm"), shop.path("sieve.wasm"));
    put(plugin("print_ops"), &file);
    std::fs::write(&sieve, "text").unwrap();
    let path = file.to_str().unwrap().to_owned();
    let mut reloaded = Reloaded::start(shop, &[("one", &path, "grants.env = [\"HOME\"]")]).await;
    let version = |host: &Host| host.status()["plugins"][0]["version"].clone();
    let before = version(&reloaded.host);
    // A grant is still revoked.
    reloaded.reload(&[("one", &path, "filters = [\"sieve.wasm\"]")]);
    reloaded.host.wait_for("plugin.chain_failed", &[("plugin", "one")]);
    reloaded.host.wait_for("audit.grant", &[("plugin", "one"), ("detail", "nothing")]);
    // Neither its file nor other settings change the version.
    put_another("print_ops", 1, &file);
    reloaded.reload(&[("one", &path, "filters = [\"sieve.wasm\"]\ngrants.env = [\"PATH\"]")]);
    let refused = reloaded.host.wait_for("plugin.swap_failed", &[("plugin", "one")]);
    assert!(
        log::field(&refused, "error").contains("its filters in the settings cannot be used"),
        "{refused}"
    );
    assert_eq!(version(&reloaded.host), before);
    // With its filters, it takes all of it.
    put(plugin("sieve"), &sieve);
    reloaded.host.wait_for("plugin.chain", &[("plugin", "one"), ("filters", "sieve")]);
    assert_ne!(version(&reloaded.host), before);
    reloaded.shop.insert([1]).await;
    wait_for_id(&mut reloaded.host, "one", 1);
    assert_eq!(reloaded.host.stop().0, Some(0));
}

#[tokio::test]
async fn a_filter_that_no_plugin_lists_is_refused_and_one_that_a_plugin_keeps_keeps_its_settings() {
    let shop = Workshop::open().await;
    let print_ops = plugin("print_ops");
    put(plugin("sieve"), &shop.path("sieve.wasm"));
    let bad = shop.path("bad.wasm");
    std::fs::write(&bad, "text").unwrap();
    let at_least = "filters = [\"sieve.wasm\"]\n[filters.sieve.config]\nat_least = 2";
    let mut reloaded = Reloaded::start(shop, &[("one", &print_ops, at_least)]).await;
    // A typing mistake would leave the filter without its settings.
    reloaded.reload(&[("one", &print_ops, &at_least.replace("[filters.sieve", "[filters.sive"))]);
    let refused = reloaded.host.wait_for("settings.read_failed", &[]);
    let said = "no plugin has the filter sive";
    assert!(log::field(&refused, "error").contains(said), "{refused}");
    let config = reloaded.config.to_str().unwrap();
    let at_start = crate::support::usage_error_of(&["--config", config, "--uri", "mongodb://localhost:1"]);
    assert!(at_start.contains(said), "{at_start}");
    // The plugin cannot be updated, so it keeps the filter, which is not in the settings any more.
    reloaded.reload(&[("one", bad.to_str().unwrap(), "")]);
    reloaded.host.wait_for("plugin.swap_failed", &[("plugin", "one")]);
    reloaded.shop.insert(1..=2).await;
    wait_for_id(&mut reloaded.host, "one", 2);
    assert_eq!(logged_ids(&reloaded.host, "one"), [2]);
    assert_eq!(reloaded.host.count("plugin.swap", &[("plugin", "sieve")]), 0);
    assert_eq!(reloaded.host.stop().0, Some(0));
}
