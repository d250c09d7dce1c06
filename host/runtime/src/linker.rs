//! Links the imports of a plugin: one set of functions for `filter`, another for `handle`.

use wasmtime::component::{Component, Linker, Resource};
use wasmtime_wasi::p2::DynPollable;

use super::abi;
use super::capabilities::{ALWAYS, GRANTED, Linking};
use super::engine::Engine;
use super::setup::Setup;
use super::state::{InstanceRole, InstanceState};

/// Links the imports of a component for its instances in this role.
pub(super) fn link(
    engine: &Engine,
    component: &Component,
    setup: &Setup,
    role: InstanceRole,
) -> wasmtime::Result<Linker<InstanceState>> {
    let mut linker = Linker::new(engine.wasmtime());
    abi::v0_1::link(&mut linker)?;
    abi::v0_2::link(&mut linker)?;
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    let mut linking = Linking { engine, component, setup, linker };
    let always = ALWAYS.iter().map(|capability| (capability.link, capability.link_in_filter));
    let granted = GRANTED.iter().map(|capability| (capability.link, capability.link_in_filter));
    always.chain(granted).try_for_each(|(link, link_in_filter)| match role {
        // Every function returns immediately and has no effect.
        InstanceRole::Filter => link_in_filter(&mut linking),
        // A function may wait, while other work continues.
        InstanceRole::Handler => link(&mut linking),
    })?;
    if role == InstanceRole::Filter {
        refuse_waiting(&mut linking.linker)?;
    }
    Ok(linking.linker)
}

/// Makes calls that wait trap: the epoch does not stop a call that waits in the host, and a filter need not wait.
fn refuse_waiting(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
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
