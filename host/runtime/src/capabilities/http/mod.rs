//! `wasi:http/outgoing-handler` and `gtm:plugin/http`: requests to granted servers, with headers that the host adds.
//!
//! The name of the server is compared with the grants, and its resolved addresses must be public, unless the grant says otherwise. The
//! host follows no redirects: a plugin that follows one sends another request, which is checked again.

mod answers;
mod aws;
mod client;
mod connector;
mod entrance;
mod grant;
mod gtm_http;
mod path;
mod request;
mod resolver;
mod v0_1;

use std::future::Future;
use std::sync::Arc;

pub use answers::HttpAnswer;
pub(crate) use answers::HttpAnswers;
pub use aws::AwsSignature;
use bytes::Bytes;
pub(crate) use client::HttpClient;
use client::{HttpRefusal, Permit, PermitRefusal, words};
pub use grant::{HttpGrant, InvalidHttpGrant};
use gtm_oplog::Namespace;
use http::header::{AUTHORIZATION, CONTENT_LENGTH};
use http::{HeaderName, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use request::{
    Body, MAX_HEADER_BYTES, MAX_HEADERS, RequestHead, collected, is_forbidden, take_length, whole,
};
use serde_json::json;
use wasmtime::component::Val;
use wasmtime_wasi_http::{
    Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView,
};

pub use self::path::{InvalidPathPattern, PathPattern};
use super::{Capability, CapabilityView, GrantedCapability, Linking, ListedCapability, ViewOf};
use crate::Limits;
use crate::abi::generate;
use crate::budget::{Budget, Charge};
use crate::call::cut;
use crate::handle::PluginContext;
use crate::load_error::SetupError;
use crate::obstacle::CallNotes;
use crate::remedy::PluginRemedy;
use crate::secret::without_passwords;
use crate::services::{Effect, Recorder};
use crate::setup::Setup;
use crate::state::{self, CallContext, InstanceRole, InstanceState};

/// Bytes of the headers that an instance sets for one request, with the host's overhead for each.
const MAX_FIELD_BYTES: usize = MAX_HEADER_BYTES + 128 * MAX_HEADERS;

/// The interface of the contract, and the one of WASI.
const CONTRACT: &str = "gtm:plugin/http";
const WASI: &str = "wasi:http/outgoing-handler";

/// What is recorded instead of the value of a header that the host adds.
const HIDDEN: &str = "…";

/// Bytes that are charged for a streamed response: more than hyper reads ahead.
const RESPONSE_CHARGE: usize = 512 * 1024;

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

/// Sends the requests that an instance makes with `wasi:http`.
pub(crate) struct HttpHooks {
    setup: Arc<Setup>,
    shared: Arc<PluginContext>,
    recorder: Option<Recorder>,
    role: InstanceRole,
    op: Arc<str>,
    notes: CallNotes,
    budget: Budget,
}

type Exchanged = (Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

impl HttpHooks {
    /// Makes the hooks of an instance. Responses are charged to its budget.
    fn new(call: &CallContext) -> Self {
        Self {
            setup: Arc::clone(&call.setup),
            shared: Arc::clone(&call.shared),
            recorder: call.recorder().cloned(),
            role: call.role,
            op: "".into(),
            notes: call.notes.clone(),
            budget: call.budget.clone(),
        }
    }
}

impl WasiHttpHooks for HttpHooks {
    /// Allows the header of the length. Libraries over `wasi:http` declare the length of a body, and WASI enforces it. It is removed before
    /// the request is built, as only the host writes that header.
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(|name: &HeaderName| is_forbidden(name) && name != CONTENT_LENGTH)
    }

    fn set_host_header(&mut self) -> bool {
        false
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        entrance::MAX_CHUNK_BYTES
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Exchanged, Error>> + Send> {
        let permitted = match self.role {
            InstanceRole::Filter => Err(Error::HttpRequestDenied),
            // The instance starts.
            InstanceRole::Handler if self.op.is_empty() => Err(Error::HttpRequestDenied),
            InstanceRole::Handler => {
                Ok(HttpExchange::new(&self.setup, self.recorder.as_ref(), &self.op, &self.notes))
            }
        };
        let (shared, budget) = (Arc::clone(&self.shared), self.budget.clone());
        let charge = self.budget.charge(RESPONSE_CHARGE);
        Box::new(async move {
            let exchange = permitted?;
            let charge = charge.map_err(|exceeded| Error::InternalError(Some(exceeded.to_string())))?;
            let (mut parts, body) = request.into_parts();
            let length = take_length(&mut parts.headers)
                .map_err(|invalid| Error::InternalError(Some(invalid.to_string())))?;
            // A recorded or a signed request is kept until its body has arrived.
            let kept = match exchange.collects(&parts.method, &parts.uri) {
                true => length.and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX),
                false => 0,
            };
            let kept = budget.charge(kept.min(exchange.setup.limits.http_bytes));
            let _kept = kept.map_err(|exceeded| Error::InternalError(Some(exceeded.to_string())))?;
            let head = RequestHead { method: parts.method, uri: parts.uri };
            let headers = parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
            let sent = exchange.send(head, headers, Body::Streamed(body, length), options).await;
            count(&shared, &sent);
            let response = sent.map_err(|refused| match refused {
                HttpRefusal::NotGranted(_) => Error::HttpRequestDenied,
                HttpRefusal::Prohibited(_) => Error::DestinationIpProhibited,
                HttpRefusal::Invalid(invalid) => Error::InternalError(Some(invalid.to_string())),
                HttpRefusal::Failed(error) => error,
            })?;
            let response = response.map(|body| {
                let body = body.map_err(move |error| {
                    let _charge = &charge;
                    error
                });
                body.boxed_unsync()
            });
            Ok((response, Box::new(async { Ok(()) }) as _))
        })
    }
}

/// Counts a request that was sent, and whether it was answered. A refused or recorded request was not sent.
fn count(shared: &PluginContext, sent: &Result<Response<WasiBody>, HttpRefusal>) {
    if shared.services.recorder.is_none() && matches!(sent, Ok(_) | Err(HttpRefusal::Failed(_))) {
        shared.usage.request(sent.is_ok());
    }
}

/// Sends one request of a plugin, for an op.
struct HttpExchange {
    setup: Arc<Setup>,
    recorder: Option<Recorder>,
    op: Arc<str>,
    notes: CallNotes,
}

impl HttpExchange {
    fn new(setup: &Arc<Setup>, recorder: Option<&Recorder>, op: &Arc<str>, notes: &CallNotes) -> Self {
        let (recorder, notes) = (recorder.cloned(), notes.clone());
        Self { setup: Arc::clone(setup), recorder, op: Arc::clone(op), notes }
    }

    /// Returns whether the host collects the whole body of such a request before it is sent.
    fn collects(&self, method: &Method, uri: &Uri) -> bool {
        let client = &self.setup.prepared.http;
        self.recorder.is_some() || client.permit(method, uri).is_ok_and(|permit| client.signs(permit))
    }

    /// Sends a granted request, and records an obstacle for one that is not granted.
    async fn send<'a>(
        self,
        head: RequestHead,
        headers: impl Iterator<Item = (&'a str, &'a [u8])>,
        body: Body,
        options: Option<RequestOptions>,
    ) -> Result<Response<WasiBody>, HttpRefusal> {
        let what = format!("{} {}", cut(head.method.as_str()), head.server());
        let permitted = self.permit(&head);
        let built = permitted.and_then(|permit| {
            let added = self.setup.prepared.http.added_names(permit);
            let request = head.build(headers, body, added).map_err(HttpRefusal::Invalid)?;
            Ok((permit, request))
        });
        let Self { setup, recorder, op, notes } = self;
        let sent = async {
            let (permit, request) = built?;
            match recorder {
                Some(recorder) => {
                    let most = setup.limits.http_bytes;
                    let added = setup.prepared.http.added_names(permit);
                    let request = record(&recorder, &setup.name, &op, request, added, most)
                        .await
                        .map_err(HttpRefusal::Failed)?;
                    match request {
                        RecordedRequest::Answered(response) => Ok(response),
                        RecordedRequest::MadeUp(response) => {
                            notes.made_up();
                            Ok(response)
                        }
                        RecordedRequest::LetThrough(request) => {
                            setup.prepared.http.send(request, permit, options).await
                        }
                    }
                }
                None => setup.prepared.http.send(request, permit, options).await,
            }
        };
        let sent = sent.await;
        let (plugin, op) = (&*setup.name, &*op);
        match &sent {
            Ok(response) => tracing::debug!(
                event = "http.respond",
                plugin,
                op,
                request = what,
                status = response.status().as_u16(),
                "the server responded"
            ),
            Err(HttpRefusal::NotGranted(reason)) => {
                let part = (!setup.grants.http.is_empty()).then_some(Http::ID);
                notes.blocked(reason.clone(), part);
            }
            Err(HttpRefusal::Prohibited(prohibited)) => {
                notes.blocked(format!("{what} is not sent: {prohibited}"), Some(Http::ID));
            }
            Err(HttpRefusal::Invalid(invalid)) => tracing::debug!(
                event = "http.send_failed", plugin, op, request = what, error = %invalid,
                "the request is not valid"
            ),
            Err(HttpRefusal::Failed(error)) => tracing::debug!(
                event = "http.send_failed", plugin, op, request = what, %error,
                "the request failed"
            ),
        }
        sent
    }

    fn permit(&self, head: &RequestHead) -> Result<Permit, HttpRefusal> {
        let permit =
            self.setup.prepared.http.permit(&head.method, &head.uri).map_err(|refused| match refused {
                PermitRefusal::NotGranted => {
                    HttpRefusal::NotGranted(not_granted(&self.setup.name, &head.server().to_string()))
                }
                PermitRefusal::Restricted => {
                    let method = cut(head.method.as_str());
                    HttpRefusal::NotGranted(restricted(&self.setup.name, &method, &head.server().to_string()))
                }
                PermitRefusal::AmbiguousPath => {
                    HttpRefusal::NotGranted(ambiguous(&self.setup.name, &head.server().to_string()))
                }
                PermitRefusal::Prohibited(prohibited) => HttpRefusal::Prohibited(prohibited),
            })?;
        self.notes.permitted(Http::ID);
        Ok(permit)
    }
}

fn not_granted(plugin: &str, server: &str) -> String {
    let (what, form) = (format!("http to {server}"), format!("http={server}"));
    state::not_granted(plugin, &what, &form, &format!("http = [\"{server}\"]"))
}

/// Returns the sentence about a request whose path is not granted, without the path, which may hold a secret.
fn restricted(plugin: &str, method: &str, server: &str) -> String {
    let (what, form) = (format!("{method} at this path of {server}"), format!("http={method} {server}/PATH"));
    state::not_granted(plugin, &what, &form, &format!("http = [\"{method} {server}/PATH\"]"))
}

/// Returns the sentence about a path that may be taken for another one, without the path.
fn ambiguous(plugin: &str, server: &str) -> String {
    format!(
        "the plugin {plugin} may send requests to some paths of {server} only, and this path may be taken for another one: it has a \
         segment . or .., two slashes in a row, a backslash, or one of %2f, %5c, %3b, %25 and %00{}",
        PluginRemedy::AllPaths { plugin, server }
    )
}

/// A recorded request.
enum RecordedRequest {
    /// The answer was set in advance.
    Answered(Response<WasiBody>),
    /// The answer is made up: an empty object.
    MadeUp(Response<WasiBody>),
    /// It is sent, as it only reads.
    LetThrough(Request<WasiBody>),
}

/// Records a request, and finds its answer. `added`: the names of the headers that the host would add.
async fn record(
    recorder: &Recorder,
    plugin: &Arc<str>,
    op: &str,
    request: Request<WasiBody>,
    added: &[HeaderName],
    most: usize,
) -> Result<RecordedRequest, Error> {
    let (parts, body) = request.into_parts();
    let body = collected(body, most).await?;
    let headers: serde_json::Map<_, _> = parts
        .headers
        .iter()
        .map(|(name, value)| {
            (name.to_string(), shown(name, &String::from_utf8_lossy(value.as_bytes())).into())
        })
        .chain(added.iter().map(|name| (name.to_string(), HIDDEN.into())))
        .collect();
    let (method, url) = (parts.method.as_str(), parts.uri.to_string());
    let answer = recorder.http.next(method, &url);
    let is_sent = answer.is_none() && recorder.http.sends(method);
    let answered = match &answer {
        Some((status, ..)) => json!(status),
        None if is_sent => json!("by the server"),
        None => json!("made up: 200"),
    };
    recorder.record(Effect {
        plugin: Arc::clone(plugin),
        op: op.to_owned(),
        capability: Http::NAME,
        what: json!({
            "method": method,
            "url": &*without_passwords(&url),
            "headers": headers,
            "body": String::from_utf8_lossy(&body),
            "answered": answered,
        }),
    });
    if is_sent {
        return Ok(RecordedRequest::LetThrough(Request::from_parts(parts, whole(body))));
    }
    Ok(match answer {
        Some((status, headers, body)) => {
            let mut response = Response::new(whole(body));
            *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
            *response.headers_mut() = headers;
            RecordedRequest::Answered(response)
        }
        None => RecordedRequest::MadeUp(Response::new(whole(Bytes::from_static(b"{}")))),
    })
}

/// Returns the value of a header, without a password.
fn shown(name: &HeaderName, value: &str) -> String {
    match value.split_once(' ') {
        Some((scheme, _)) if name == AUTHORIZATION => format!("{scheme} …"),
        None if name == AUTHORIZATION => HIDDEN.to_owned(),
        _ => value.to_owned(),
    }
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
