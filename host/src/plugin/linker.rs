//! What is behind the imports of a plugin: one set of answers for `filter`, another for `handle`.

use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::p2::DynPollable;

use super::bindings::types;
use super::capabilities::{config, log, mail};
use super::contract::CONTRACT;
use super::engine::Engine;
use super::state::State;

/// For `filter`: everything answers at once, and nothing has an effect.
pub(super) fn for_filter(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine.wasmtime());
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
    refuse_waiting(&mut linker)?;
    link_contract(&mut linker)?;
    mail::link_refusal(&mut linker)?;
    Ok(linker)
}

/// For `handle`: what waits lets other work go on meanwhile.
pub(super) fn for_handler(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine.wasmtime());
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    link_contract(&mut linker)?;
    mail::link(&mut linker)?;
    Ok(linker)
}

fn link_contract(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    types::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    // Has types only, but is an import all the same.
    linker.instance(&format!("gtm:plugin/subscriptions@{CONTRACT}"))?;
    log::link(linker)?;
    config::link(linker)
}

/// The epoch does not stop a call that waits in the host, and a filter has nothing to wait for.
fn refuse_waiting(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    const REFUSAL: &str = "it tried to wait (to sleep, or for input), which only handle may do";
    linker.allow_shadowing(true);
    let mut poll = linker.instance("wasi:io/poll@0.2.12")?;
    poll.func_wrap("[method]pollable.block", |_, (_pollable,): (Resource<DynPollable>,)| {
        Err::<(), _>(wasmtime::Error::msg(REFUSAL))
    })?;
    poll.func_wrap("poll", |_, (_pollables,): (Vec<Resource<DynPollable>>,)| {
        Err::<(Vec<u32>,), _>(wasmtime::Error::msg(REFUSAL))
    })?;
    linker.allow_shadowing(false);
    Ok(())
}
