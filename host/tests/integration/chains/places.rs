//! The places of filters, which plugins share.

use std::path::Path;

use gtm_runtime::{
    Compilation, ComponentKind, Engine, Filter, Limits, Plugin, PluginHandle, PluginSetup, Secret, Services,
};

use super::{Workshop, write_filter, write_filter_with};
use crate::hostile::filter_batch::ops;
use crate::log;
use crate::support::plugin;

/// Fields of a filter whose instances take two places: a table of its own, and one for what it imports.
const TWO_PLACES: &str =
    r#"(import "gtm:plugin/log@0.2.0" "log" (func (param i32 i32 i32))) (table 1 funcref)"#;

fn load(engine: &Engine, name: &str, path: &Path, kind: ComponentKind) -> PluginHandle {
    let setup = PluginSetup { kind, ..PluginSetup::new(name, Limits::default()) };
    PluginHandle::new(Plugin::load(engine, path, &setup).unwrap(), Services::default())
}

fn set_chain(plugin: &PluginHandle, filters: &[&PluginHandle]) {
    let filters = filters.iter().map(|filter| (*filter).clone());
    plugin.set_chain(plugin.prepare_chain(filters).unwrap());
}

/// An engine with this many places, a plugin, a filter whose instances take one place, and a version of it whose instances take two.
fn rooms(directory: &Path, places: usize) -> (PluginHandle, PluginHandle, Plugin) {
    let engine = Engine::sized(&directory.join("cache"), Compilation::Here, places).unwrap();
    let (small, large) = (directory.join("small.wasm"), directory.join("large.wasm"));
    write_filter("(i32.const 1)", &small);
    write_filter_with(TWO_PLACES, "(i32.const 0)", &large);
    let trivial = load(&engine, "trivial", plugin("trivial").as_ref(), ComponentKind::Plugin);
    let filter = load(&engine, "door", &small, ComponentKind::Filter);
    let large = filter.current().successor(&large).unwrap();
    (trivial, filter, large)
}

#[tokio::test]
async fn a_version_of_a_filter_takes_over_only_if_all_its_plugins_have_places_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let op = ops(1).remove(0);
    let needs = |places: usize| {
        let (trivial, filter, large) = rooms(directory.path(), places);
        set_chain(&trivial, &[&filter]);
        trivial.reserve(1)?;
        Ok::<_, gtm_runtime::PoolFull>((trivial, filter, large))
    };
    // The least that is enough for both, by the error of one that is not.
    let least = (1..200).find(|places| needs(*places).is_ok()).unwrap();
    let said = needs(least - 1).map(drop).unwrap_err().to_string();
    assert!(said.starts_with("the instances of the filter door in all its plugins need "), "{said}");
    let (trivial, filter, large) = needs(least).unwrap();
    let mut asked = Filter::new(&trivial);
    assert_eq!(asked.call(&op, 1).await, Ok(true));
    let said = filter.swap(large).unwrap_err().to_string();
    assert!(said.starts_with("its instances need "), "{said}");
    assert_eq!(asked.call(&op, 1).await, Ok(true));
    // Without a plugin that has it, it needs none.
    set_chain(&trivial, &[]);
    assert_eq!(asked.call(&op, 1).await, Ok(true));
    filter.swap(filter.current().successor(&directory.path().join("large.wasm")).unwrap()).unwrap();
    let said = trivial.prepare_chain([filter.clone()]).unwrap_err().to_string();
    assert!(said.starts_with("the instances of the filter door"), "{said}");
    drop(trivial);
}

#[test]
fn a_plugin_that_has_too_few_places_leaves_them_to_others() {
    let directory = tempfile::tempdir().unwrap();
    let room = |places| {
        let (trivial, filter, _) = rooms(directory.path(), places);
        set_chain(&trivial, &[&filter]);
        trivial
    };
    let least = (1..200).find(|places| room(*places).reserve(1).is_ok()).unwrap();
    // It has its own places before those of its filter are too many.
    let trivial = room(least - 1);
    trivial.reserve(1).unwrap_err();
    let other = PluginHandle::new(trivial.current(), Services::default());
    other.reserve(1).unwrap();
    drop((trivial, other));
}

#[test]
fn the_timers_of_a_version_that_may_return_keep_their_places() {
    let directory = tempfile::tempdir().unwrap();
    let path = plugin("chime");
    let names: Vec<_> = (0..16).map(|name| name.to_string()).collect();
    let mut setup = PluginSetup::new("chime", Limits::default());
    setup.config.insert("timer".to_owned(), Secret::Value(names.join(",")));
    let chime = |places| {
        let engine = Engine::sized(&directory.path().join("cache"), Compilation::Here, places).unwrap();
        PluginHandle::new(Plugin::load(&engine, path.as_ref(), &setup).unwrap(), Services::default())
    };
    // The host makes as many places for the file as it needs with the most timers.
    let needed = gtm_runtime::places([(path.as_ref(), ComponentKind::Plugin, 1)]) - gtm_runtime::places([]);
    assert!(chime(needed - 1).reserve(1).is_err());
    let chime = chime(needed);
    chime.reserve(1).unwrap();
    // The new version is on trial, and has no timers.
    let trivial = chime.current().successor(plugin("trivial").as_ref()).unwrap();
    let other = PluginHandle::new(trivial.clone(), Services::default());
    chime.swap(trivial).unwrap();
    chime.reserve(1).unwrap();
    other.reserve(1).unwrap_err();
    drop((chime, other));
}

#[tokio::test]
async fn a_version_is_not_rolled_back_to_one_that_had_other_filters() {
    let directory = tempfile::tempdir().unwrap();
    let op = ops(1).remove(0);
    let engine = Engine::sized(&directory.path().join("cache"), Compilation::Here, 1000).unwrap();
    let (open, path) = (directory.path().join("open.wasm"), plugin("misbehave"));
    write_filter("(i32.const 1)", &open);
    let open = load(&engine, "open", &open, ComponentKind::Filter);
    let mut setup = PluginSetup::new("p", Limits::default());
    setup.config.insert("filter".to_owned(), Secret::Value("panic".to_owned()));
    let trivial = Plugin::load(&engine, plugin("trivial").as_ref(), &setup).unwrap();
    for (chained, rolled_back) in [(false, true), (true, false)] {
        let handle = PluginHandle::new(trivial.clone(), Services::default());
        let panicking = trivial.successor(path.as_ref()).unwrap();
        handle.swap(panicking.clone()).unwrap();
        if chained {
            set_chain(&handle, &[&open]);
        }
        assert!(Filter::new(&handle).call(&op, 1).await.is_err());
        assert_eq!(handle.rolled_back().is_some(), rolled_back);
        // Both together.
        let handle = PluginHandle::new(trivial.clone(), Services::default());
        let chain = chained.then(|| handle.prepare_chain([open.clone()]).unwrap());
        handle.replace(trivial.successor(path.as_ref()).unwrap(), chain).unwrap();
        assert!(Filter::new(&handle).call(&op, 1).await.is_err());
        assert_eq!(handle.rolled_back().is_some(), rolled_back);
    }
}

#[tokio::test]
async fn a_chain_is_replaced_between_two_calls_and_keeps_its_counts() {
    let directory = tempfile::tempdir().unwrap();
    let (trivial, open, large) = rooms(directory.path(), 1000);
    trivial.reserve(1).unwrap();
    let closed = PluginHandle::new(large, Services::default());
    let mut asked = Filter::new(&trivial);
    let all = ops(100);
    let mut accepted = async |filters: &[&PluginHandle]| {
        set_chain(&trivial, filters);
        let answers = asked.call_all(&all).await;
        let passed = |filter: &gtm_runtime::FilterStatus| [filter.passed, filter.refused, filter.failed];
        let counts: Vec<_> = trivial.filter_statuses().iter().map(passed).collect();
        (answers.iter().filter(|answer| **answer == Ok(true)).count(), counts)
    };
    assert_eq!(accepted(&[]).await, (100, vec![]));
    assert_eq!(accepted(&[&open]).await, (100, vec![[100, 0, 0]]));
    assert_eq!(accepted(&[&open, &closed]).await, (0, vec![[200, 0, 0], [0, 100, 0]]));
    assert_eq!(accepted(&[&closed, &open]).await, (0, vec![[0, 200, 0], [200, 0, 0]]));
    assert_eq!(accepted(&[&open]).await, (100, vec![[300, 0, 0]]));
}

#[tokio::test]
async fn a_plugin_without_room_for_its_filter_starts_when_another_version_fits() {
    let shop = Workshop::open().await;
    let (config, door) = (shop.path("gtm.toml"), shop.path("door.wasm"));
    write_filter_with(TWO_PLACES, "(i32.const 1)", &door);
    let path = plugin("print_ops");
    let namespace = format!("config.namespaces = \"{}.things\"", shop.own.name);
    let settings = format!(
        "[plugins.free]\npath = {path:?}\n{namespace}\n[plugins.wide]\npath = {path:?}\n{namespace}\nlanes = 1800\nordering = \"document\"\nfilters = [\"door.wasm\"]\n"
    );
    std::fs::write(&config, settings).unwrap();
    let mut host =
        crate::support::Host::start(&["--config", config.to_str().unwrap(), "--uri", shop.server.uri()]);
    let failed = host.wait_for("plugin.start_failed", &[("plugin", "wide")]);
    let error = log::field(&failed, "error");
    assert!(error.contains("the instances of the filter door in all its plugins need "), "{failed}");
    write_filter("(i32.const 1)", &door);
    host.wait_for("source.tail", &[("plugin", "wide")]);
    shop.insert([1]).await;
    super::wait_for_id(&mut host, "wide", 1);
    assert_eq!(host.stop().0, Some(0));
}
