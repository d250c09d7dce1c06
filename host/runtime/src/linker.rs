//! What is behind the imports of a plugin: one set of answers for `filter`, another for `handle`.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, Linker, Resource, Val};
use wasmtime_wasi::p2::DynPollable;

use super::bindings::types;
use super::capabilities::{config, extended_json, http, listing, log, mail, metrics, mongodb, state};
use super::contract::CONTRACT;
use super::engine::Engine;
use super::setup::Setup;
use super::state::{InstanceRole, InstanceState};

/// What is behind the imports of a component, in an instance of this role.
pub(super) fn link(
    engine: &Engine,
    component: &Component,
    setup: &Setup,
    role: InstanceRole,
) -> wasmtime::Result<Linker<InstanceState>> {
    let mut linker = Linker::new(engine.wasmtime());
    types::add_to_linker::<InstanceState, HasSelf<InstanceState>>(&mut linker, |state| state)?;
    // Has types only, but is an import all the same.
    linker.instance(&format!("gtm:plugin/subscriptions@{CONTRACT}"))?;
    log::link(&mut linker)?;
    config::link(&mut linker)?;
    extended_json::link(&mut linker)?;
    metrics::link(&mut linker)?;
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    let by_wasi = !setup.grants.http.is_empty();
    if by_wasi {
        http::link_wasi(&mut linker)?;
    } else {
        http::link_nothing(engine.wasmtime(), component, &mut linker)?;
    }
    match role {
        // Everything answers at once, and nothing has an effect.
        InstanceRole::Filter => {
            linker.allow_shadowing(true);
            refuse_waiting(&mut linker)?;
            for capability in ["http", "mail", "mongodb", "state"] {
                let reason = format!("{capability} can be used in handle only, not in filter");
                let error = Val::Variant("not-granted".to_owned(), Some(Box::new(Val::String(reason))));
                refuse(engine, component, &mut linker, &format!("gtm:plugin/{capability}@"), &error)?;
            }
            if by_wasi {
                let error = Val::Variant("HTTP-request-denied".to_owned(), None);
                refuse(engine, component, &mut linker, "wasi:http/outgoing-handler@", &error)?;
            }
            linker.allow_shadowing(false);
        }
        // What waits lets other work go on meanwhile.
        InstanceRole::Handler => {
            http::link(&mut linker)?;
            mail::link(&mut linker)?;
            mongodb::link(&mut linker)?;
            state::link(&mut linker)?;
            if !setup.grants.dirs.is_empty() {
                listing::link(&mut linker)?;
            }
        }
    }
    Ok(linker)
}

/// Has each function of an interface that the component asks for answer with this error: that it is for `handle`. All of
/// them give back a result.
fn refuse(
    engine: &Engine,
    component: &Component,
    linker: &mut Linker<InstanceState>,
    interface: &str,
    error: &Val,
) -> wasmtime::Result<()> {
    let component_type = component.component_type();
    let import = component_type.imports(engine.wasmtime()).find(|(import, _)| import.starts_with(interface));
    let Some((name, import)) = import else { return Ok(()) };
    let ComponentItem::ComponentInstance(interface) = import.ty else { return Ok(()) };
    let mut linked = linker.instance(name)?;
    for (function, export) in interface.exports(engine.wasmtime()) {
        if matches!(export.ty, ComponentItem::ComponentFunc(_)) {
            let error = error.clone();
            linked.func_new(function, move |_, _, _, results| {
                if let [result] = results {
                    *result = Val::Result(Err(Some(Box::new(error.clone()))));
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// The epoch does not stop a call that waits in the host, and a filter has nothing to wait for.
fn refuse_waiting(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    const REFUSAL: &str = "it tried to wait (to sleep, or for input), which only handle may do";
    let mut poll = linker.instance("wasi:io/poll@0.2.12")?;
    poll.func_wrap("[method]pollable.block", |_, (_pollable,): (Resource<DynPollable>,)| {
        Err::<(), _>(wasmtime::Error::msg(REFUSAL))
    })?;
    poll.func_wrap("poll", |_, (_pollables,): (Vec<Resource<DynPollable>>,)| {
        Err::<(Vec<u32>,), _>(wasmtime::Error::msg(REFUSAL))
    })
}
