//! Links `wasi:http`: with limits if a server is granted, and to an error otherwise.

use std::any::Any;

use http_body_util::BodyExt;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, LinkerInstance, Resource, ResourceType};
use wasmtime::{Engine, StoreContextMut};
use wasmtime_wasi_http::p2::bindings::http::types::{
    FutureIncomingResponse, HeaderError, Host as _, HostFields, HostOutgoingRequest as _, IncomingResponse,
    Method, OutgoingBody, OutgoingRequest, OutgoingResponse,
};
use wasmtime_wasi_http::{FieldMap, WasiHttpView};

use super::MAX_FIELD_BYTES;
use super::request::MAX_METHOD_BYTES;
use crate::budget::BudgetExceeded;
use crate::component::bound_arguments;
use crate::state::{InstanceState, not_granted};

const TYPES: &str = "wasi:http/types@0.2.12";
/// Bytes of a body that the host takes from the plugin per call. It keeps up to two such parts until the server reads them.
pub(super) const MAX_CHUNK_BYTES: usize = 64 * 1024;

/// Bytes of the authority of a request. A host name has at most 253.
const MAX_AUTHORITY_BYTES: usize = 1024;
/// Bytes of the path of a request, with the query.
const MAX_PATH_BYTES: usize = 16 * 1024;
/// Bytes that are charged for each set of headers, with its request or response. A map with as many headers as [`MAX_FIELD_BYTES`] allows takes
/// up to three times its counted size.
const HEADERS_CHARGE: usize = 3 * MAX_FIELD_BYTES + MAX_AUTHORITY_BYTES + MAX_PATH_BYTES;

/// Resources that `wasi:http` uses from `wasi:io`, which is always linked.
const IO_RESOURCES: [&str; 4] = ["io-error", "input-stream", "output-stream", "pollable"];

/// A resource of `wasi:http` that is never made.
struct NotGranted;

/// Adds limits to the linked functions of `wasi:http`.
pub(super) fn bound(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    bound_fields(&mut types)?;
    bound_requests(&mut types)?;
    // Plugins do not serve requests.
    types.func_wrap(
        "[method]outgoing-response.body",
        |_: StoreContextMut<'_, InstanceState>, (_,): (Resource<OutgoingResponse>,)| {
            Ok((Err::<Resource<OutgoingBody>, ()>(()),))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Charges for each set of headers before it is made.
fn bound_fields(types: &mut LinkerInstance<'_, InstanceState>) -> wasmtime::Result<()> {
    types.func_wrap("[constructor]fields", |mut store: StoreContextMut<'_, InstanceState>, (): ()| {
        charge_headers(&mut store)?;
        Ok((HostFields::new(&mut store.data_mut().http())?,))
    })?;
    types.func_wrap(
        "[static]fields.from-list",
        |mut store: StoreContextMut<'_, InstanceState>, (entries,): (Vec<(String, Vec<u8>)>,)| {
            charge_headers(&mut store)?;
            let mut http = store.data_mut().http();
            match http.from_list(entries) {
                Ok(fields) => Ok((Ok::<_, HeaderError>(fields),)),
                Err(error) => Ok((Err(http.convert_header_error(error)?),)),
            }
        },
    )?;
    types.func_wrap(
        "[method]fields.clone",
        |mut store: StoreContextMut<'_, InstanceState>, (fields,): (Resource<FieldMap>,)| {
            charge_headers(&mut store)?;
            Ok((HostFields::clone(&mut store.data_mut().http(), fields)?,))
        },
    )
}

/// Limits the texts of a request, which the host keeps with the request, and charges for its body.
fn bound_requests(types: &mut LinkerInstance<'_, InstanceState>) -> wasmtime::Result<()> {
    types
        .func_wrap("[method]outgoing-request.body", |store, (request,)| Ok((open_body(store, &request)?,)))?;
    types.func_wrap(
        "[method]outgoing-request.set-method",
        |mut store: StoreContextMut<'_, InstanceState>,
         (request, method): (Resource<OutgoingRequest>, Method)| {
            match &method {
                Method::Other(name) if name.len() > MAX_METHOD_BYTES => Ok((Err(()),)),
                _ => Ok((store.data_mut().http().set_method(request, method)?,)),
            }
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-authority",
        |mut store: StoreContextMut<'_, InstanceState>,
         (request, text): (Resource<OutgoingRequest>, Option<String>)| {
            match &text {
                Some(text) if text.len() > MAX_AUTHORITY_BYTES => Ok((Err(()),)),
                _ => Ok((store.data_mut().http().set_authority(request, text)?,)),
            }
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-path-with-query",
        |mut store: StoreContextMut<'_, InstanceState>,
         (request, text): (Resource<OutgoingRequest>, Option<String>)| {
            match &text {
                Some(text) if text.len() > MAX_PATH_BYTES => Ok((Err(()),)),
                _ => Ok((store.data_mut().http().set_path_with_query(request, text)?,)),
            }
        },
    )
}

/// Charges for all headers that the instance holds, and for one more set. Only the callers of this function make sets; other functions
/// of `wasi:http` share or move them.
fn charge_headers(store: &mut StoreContextMut<'_, InstanceState>) -> wasmtime::Result<()> {
    charge_sets(store.data_mut(), 1)?;
    bound_arguments(store);
    Ok(())
}

/// Charges for the headers that the instance holds now, and for this many more sets.
pub(super) fn charge_sets(state: &mut InstanceState, more: usize) -> Result<(), BudgetExceeded> {
    let sets = state.http().table.iter_mut().filter(|resource| has_headers(*resource)).count();
    state.contexts.http.headers.resize((sets + more).saturating_mul(HEADERS_CHARGE))
}

fn has_headers(resource: &(dyn Any + Send)) -> bool {
    resource.is::<FieldMap>()
        || resource.is::<OutgoingRequest>()
        || resource.is::<FutureIncomingResponse>()
        || resource.is::<IncomingResponse>()
}

/// Opens the body of a request. It is charged as long as the host may keep a part of it: until it is sent or dropped.
fn open_body(
    mut store: StoreContextMut<'_, InstanceState>,
    request: &Resource<OutgoingRequest>,
) -> wasmtime::Result<Result<Resource<OutgoingBody>, ()>> {
    let state = store.data_mut();
    let charge = state.call.budget.charge(2 * MAX_CHUNK_BYTES)?;
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

/// Links each function of `wasi:http` to a trap with the sentence that http is not granted, so that a component that imports it loads.
pub(super) fn link_nothing(
    engine: &Engine,
    component: &Component,
    linker: &mut Linker<InstanceState>,
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
                ComponentItem::Resource(_) if !IO_RESOURCES.contains(&name) => {
                    linked.resource(name, ResourceType::host::<NotGranted>(), |_, _| Ok(()))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn refusal(state: &InstanceState) -> wasmtime::Error {
    let sentence = not_granted(&state.call.setup.name, "http", "http=SERVER", "http = [\"SERVER\"]");
    wasmtime::Error::msg(state.call.notes.blocked(sentence, None))
}
