//! `wasi:http` as plugins get it: bounded if they are granted some server, and not there otherwise.

use http_body_util::BodyExt;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, Resource, ResourceType};
use wasmtime::{Engine, StoreContextMut};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::http::types::{
    HostOutgoingRequest as _, OutgoingBody, OutgoingRequest, OutgoingResponse,
};

use crate::plugin::component::bound_arguments;
use crate::plugin::state::{State, how_to_grant};

const TYPES: &str = "wasi:http/types@0.2.12";
/// Bytes that such a body takes from the plugin at once. The host keeps two such parts until the server takes them.
pub(super) const PART: usize = 64 * 1024;

/// Resources that `wasi:http` takes from `wasi:io`, which is linked in any case.
const OF_IO: [&str; 4] = ["io-error", "input-stream", "output-stream", "pollable"];

/// A resource of `wasi:http` that is never made.
struct NotGranted;

/// Bounds what is linked by WASI.
pub(super) fn bound(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    types
        .func_wrap("[method]outgoing-request.body", |store, (request,)| Ok((open_body(store, &request)?,)))?;
    // Plugins answer no requests.
    types.func_wrap(
        "[method]outgoing-response.body",
        |_: StoreContextMut<'_, State>, (_,): (Resource<OutgoingResponse>,)| {
            Ok((Err::<Resource<OutgoingBody>, ()>(()),))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The body of a request. It is charged for as long as the host may keep some of it: until it is sent, or given up.
fn open_body(
    mut store: StoreContextMut<'_, State>,
    request: &Resource<OutgoingRequest>,
) -> wasmtime::Result<Result<Resource<OutgoingBody>, ()>> {
    let state = store.data_mut();
    let charge = state.budget.charge(2 * PART)?;
    let mut http = state.http();
    let body = http.body(Resource::new_borrow(request.rep()))?;
    if body.is_ok() {
        let request = http.table.get_mut(request)?;
        request.body = request.body.take().map(|body| {
            let body = body.map_err(move |error| {
                let _charge = &charge;
                error
            });
            body.boxed_unsync()
        });
    }
    bound_arguments(&mut store);
    Ok(body)
}

/// Has a component that asks for `wasi:http` load, and each call of it end with the sentence that says how http is granted.
pub(in crate::plugin) fn link_nothing(
    engine: &Engine,
    component: &Component,
    linker: &mut Linker<State>,
) -> wasmtime::Result<()> {
    let component_type = component.component_type();
    for (name, import) in component_type.imports(engine).filter(|(name, _)| name.starts_with("wasi:http/")) {
        let ComponentItem::ComponentInstance(interface) = import.ty else { continue };
        let mut linked = linker.instance(name)?;
        for (name, export) in interface.exports(engine) {
            match export.ty {
                ComponentItem::ComponentFunc(_) => {
                    linked.func_new(name, |store, _, _, _| Err(refusal(store.data())))?;
                }
                ComponentItem::Resource(_) if !OF_IO.contains(&name) => {
                    linked.resource(name, ResourceType::host::<NotGranted>(), |_, _| Ok(()))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn refusal(state: &State) -> wasmtime::Error {
    let sentence = how_to_grant(&state.setup.name, "http", "http=SERVER", "http = [\"SERVER\"]");
    wasmtime::Error::msg(state.notes.blocked(sentence, None))
}
