//! `wasi:http/outgoing-handler` and `gtm:plugin/http`: requests to granted servers, with headers that the host adds.
//!
//! The name of the server is compared with the grants, and its resolved addresses must be public, unless the grant says otherwise. The
//! host follows no redirects: a plugin that follows one sends another request, which is checked again.

mod answers;
mod aws;
mod client;
mod connector;
mod credentials;
mod entrance;
mod exchange;
mod grant;
mod gtm_http;
mod hooks;
mod path;
mod recording;
mod request;
mod resolver;
mod v0_1;

use std::sync::Arc;

pub use answers::HttpAnswer;
pub(crate) use answers::HttpAnswers;
pub use aws::AwsSignature;
pub(crate) use client::HttpClient;
pub use grant::{HttpGrant, InvalidHttpGrant};
use gtm_oplog::Namespace;
use hooks::HttpHooks;
use http::{HeaderName, Request};
use request::{Body, MAX_HEADER_BYTES, MAX_HEADERS, RequestHead};
use wasmtime::component::Val;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

pub use self::path::{InvalidPathPattern, PathPattern};
use super::{Capability, CapabilityView, GrantedCapability, Linking, ListedCapability, ViewOf};
use crate::Limits;
use crate::abi::generate;
use crate::budget::Charge;
use crate::load_error::SetupError;
use crate::state::{CallContext, InstanceState};

/// Bytes of the headers that an instance sets for one request, with the host's overhead for each.
const MAX_FIELD_BYTES: usize = MAX_HEADER_BYTES + 128 * MAX_HEADERS;

/// The interface of the contract, and the one of WASI.
const CONTRACT: &str = "gtm:plugin/http";
const WASI: &str = "wasi:http/outgoing-handler";

/// The capability, for `handle` only, except that `filter` can make sets of headers with `wasi:http`.
pub(crate) struct Http;

/// The state of an instance for its requests.
pub(crate) struct HttpContext {
    pub(crate) wasi: WasiHttpCtx,
    pub(crate) hooks: HttpHooks,
    /// The charge for the headers that it held when it last made some with `wasi:http`.
    headers: Charge,
}

type HttpView<'a> = CapabilityView<'a, Http>;

impl Capability for Http {
    const NAME: &'static str = "http";
    const IMPORTS: &'static [&'static str] = &[CONTRACT, WASI];

    fn link(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
        link_wasi(linking)?;
        v0_1::link(linking)?;
        contract::add_to_linker::<_, ViewOf<Self>>(&mut linking.linker, Self::view)
    }

    fn link_in_filter(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
        link_wasi(linking)?;
        linking.refuse(Self::NAME, &[CONTRACT])?;
        match linking.setup.grants.http.is_empty() {
            true => Ok(()),
            false => linking.refuse_with(WASI, &Val::Variant("HTTP-request-denied".to_owned(), None)),
        }
    }
}

impl GrantedCapability for Http {
    type Grant = Vec<HttpGrant>;
    type Prepared = HttpClient;
    type Shared = ();
    type Instance = HttpContext;

    const FORMS: &'static [&'static str] =
        &["http=SERVER", "http-private=SERVER (or http=GET,POST SERVER/PATH)"];
    const PROPOSED: &'static [&'static str] = &["http=SERVER"];

    fn parse(name: &str, value: Option<&str>) -> Option<Result<Vec<HttpGrant>, String>> {
        let private = match name {
            "http" => false,
            "http-private" => true,
            _ => return None,
        };
        let private = |mut grant: HttpGrant| {
            grant.private = private;
            vec![grant]
        };
        let parsed = value?.parse::<HttpGrant>();
        Some(parsed.map(private).map_err(|error| error.to_string()))
    }

    fn merge(granted: &mut Vec<HttpGrant>, more: Vec<HttpGrant>) {
        granted.extend(more);
    }

    fn everything() -> Vec<HttpGrant> {
        vec![HttpGrant::anything()]
    }

    fn describe(granted: &Vec<HttpGrant>) -> String {
        granted.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    fn prepare(plugin: &str, granted: &Vec<HttpGrant>, limits: &Limits) -> Result<HttpClient, SetupError> {
        HttpClient::new(plugin, granted, limits)
    }

    fn instance(call: &CallContext) -> HttpContext {
        let mut wasi = WasiHttpCtx::new();
        wasi.set_field_size_limit(MAX_FIELD_BYTES);
        HttpContext { wasi, hooks: HttpHooks::new(call), headers: call.budget.nothing() }
    }

    fn begin(state: &mut InstanceState, op: &str, _: &Arc<Namespace>) {
        // Most plugins send no requests, so they need no copy of the id.
        if !state.call.setup.grants.http.is_empty() {
            state.contexts.http.hooks.op = op.into();
            // This releases the charge for dropped headers. All others were charged when they were made.
            let _ = entrance::charge_sets(state, 0);
        }
    }
}

impl WasiHttpView for InstanceState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let http = &mut self.contexts.http;
        WasiHttpCtxView { ctx: &mut http.wasi, table: &mut self.table, hooks: &mut http.hooks }
    }
}

/// Links `wasi:http`, if a server is granted.
fn link_wasi(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
    if linking.setup.grants.http.is_empty() {
        return entrance::link_nothing(linking.engine.wasmtime(), linking.component, &mut linking.linker);
    }
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linking.linker)?;
    entrance::bound(&mut linking.linker)
}

/// Returns the head of a request as it would be sent, and the server as shown in messages, for the fuzzers. None: it is refused.
pub(crate) fn built(
    method: &str,
    url: &str,
    headers: &[(&str, &[u8])],
    added: &[HeaderName],
) -> Option<(Request<()>, String)> {
    let head = RequestHead::parse(method, url).ok()?;
    let server = head.server().to_string();
    let request = head.build(headers.iter().copied(), Body::None, added).ok()?;
    Some((request.map(|_| ()), server))
}

use generated::gtm::plugin::http as contract;

generate!(generated, {
    path: "../../wit/0.2",
    inline: "
        package gtm:host;

        world http {
            import gtm:plugin/http@0.2.0;
        }
    ",
    with: { "gtm:plugin/types": crate::abi::v0_2::types },
    imports: { default: async },
});
