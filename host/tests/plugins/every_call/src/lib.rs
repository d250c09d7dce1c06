//! Calls whatever a plugin can call, with arguments of every size and shape, as a seed says: in `filter`, in `handle`, and while it
//! is loaded.
//!
//! Each document inserted into a collection `seeds` is `{place: "filter" | "handle" | "mark", seed}`. Before each call it logs its
//! name at the level debug, so that the last one before the end of an instance is known, and after all of them one line:
//! `calls SEED NAME=MICROSECONDS …`. The config has `salt`, `startup` (a seed for when it is loaded), `database`, `url` (a server that
//! may be granted) and `without` (how the names of calls begin that are left out).

#![allow(clippy::indexing_slicing, reason = "a test plugin: each index is below a length")]

mod contract;
mod random;
mod shapes;
#[cfg(target_family = "wasm")]
mod wasi;
#[cfg(target_family = "wasm")]
mod wasi_http;

use std::fmt::Write;
use std::time::Instant;

use gtm_plugin::bindings::exports::gtm::plugin::{batch_filter, filter, handler, lifecycle};
use gtm_plugin::bindings::gtm::plugin::types;
use gtm_plugin::{Op, OperationType, config, log};
use random::Random;

/// A call: the name of its import, and what is called.
pub(crate) type Call = (&'static str, fn(&mut Random));

/// What a call answers is of no interest.
#[cfg(target_family = "wasm")]
fn ignore<T>(_: T) {}

/// Where a call is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Filter,
    Handle,
    Mark,
}

struct EveryCall;

impl lifecycle::Guest for EveryCall {
    fn settings() -> Option<Vec<lifecycle::Setting>> {
        None
    }

    fn init() -> Result<Vec<lifecycle::Subscription>, String> {
        if let Some(seed) = config::get("startup").and_then(|seed| seed.parse().ok()) {
            run(seed, Place::Filter);
        }
        let namespace = config::get("database").map_or("*.seeds".to_owned(), |name| format!("{name}.seeds"));
        Ok(vec![lifecycle::Subscription { namespace, operation_types: Vec::new() }])
    }
}

impl filter::Guest for EveryCall {
    fn filter(op: types::Op) -> bool {
        wants(&Op::from(op))
    }
}

impl batch_filter::Guest for EveryCall {
    fn filter(ops: Vec<types::Op>) -> Vec<bool> {
        ops.into_iter().map(|op| wants(&Op::from(op))).collect()
    }
}

impl handler::Guest for EveryCall {
    fn handle(op: types::Op) -> Result<(), types::Failure> {
        match read(&Op::from(op)) {
            Some((Place::Mark, seed)) => log::info!("mark {seed}"),
            Some((place, seed)) => run(seed, place),
            None => {}
        }
        Ok(())
    }
}

gtm_plugin::__export_raw!(EveryCall);

fn wants(op: &Op) -> bool {
    match read(op) {
        Some((Place::Filter, seed)) => {
            run(seed, Place::Filter);
            false
        }
        place => place.is_some(),
    }
}

fn read(op: &Op) -> Option<(Place, i64)> {
    if op.operation_type() != OperationType::Insert {
        return None;
    }
    let document: gtm_plugin::bson::Document = op.document().ok()?;
    let place = match document.get_str("place").ok()? {
        "filter" => Place::Filter,
        "handle" => Place::Handle,
        _ => Place::Mark,
    };
    Some((place, document.get_i64("seed").ok()?))
}

/// Makes the calls of a seed.
fn run(seed: i64, place: Place) {
    let number = |key| config::get(key).and_then(|value| value.parse::<u64>().ok());
    let mut random = Random::new(seed.cast_unsigned() ^ number("salt").unwrap_or_default().rotate_left(32));
    let mut report = format!("calls {seed}");
    let without = config::get("without");
    // An op waits for a grant if a call is refused and another then ends the instance. So there is one call for an op in `handle`.
    for _ in 0..if place == Place::Filter { 8 } else { 1 } {
        let all = calls();
        let (name, call) = all[random.below(all.len())];
        // What waits ends a filter.
        let waits = place == Place::Filter && ["io.poll", "io.block", "wasi:http send"].contains(&name);
        if waits || without.as_ref().is_some_and(|without| name.starts_with(without.as_str())) {
            continue;
        }
        log::debug!("next {seed} {name}");
        let started = Instant::now();
        call(&mut random);
        let _ = write!(report, " {name}={}", started.elapsed().as_micros());
    }
    log::info!("{report}");
}

fn calls() -> Vec<Call> {
    let all = contract::CALLS.into_iter();
    #[cfg(target_family = "wasm")]
    let all = all.chain(wasi::CALLS).chain(wasi_http::CALLS);
    all.collect()
}
