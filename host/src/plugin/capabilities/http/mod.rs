//! `wasi:http/outgoing-handler` and `gtm:plugin/http`: requests to the servers that are granted, with what the host adds to them.
//!
//! The name of the server is compared with the grants, and each address that it resolves to must be public, unless the grant says
//! otherwise. A redirect is not followed here: the plugin that follows it sends a request of its own, which is looked at anew.

mod addresses;
mod client;
mod one_call;
mod resolver;

use std::future::Future;
use std::sync::Arc;

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use wasmtime::component::Linker;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

pub(in crate::plugin) use client::HttpClient;
use client::{Refused, Unpermitted, words};

use crate::plugin::services::{Effect, Recorder};
use crate::plugin::setup::Setup;
use crate::plugin::slot::Shared;
use crate::plugin::state::{Role, State};

/// For `handle`.
pub(in crate::plugin) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    one_call::link(linker)
}

/// For `filter`: what requests are made of. To send one is refused by the linker.
pub(in crate::plugin) fn link_for_filter(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_sync(linker)
}

/// What becomes of the requests of an instance.
pub(in crate::plugin) struct Hooks {
    setup: Arc<Setup>,
    shared: Arc<Shared>,
    recorder: Option<Recorder>,
    role: Role,
    op: Arc<str>,
}

type Exchanged = (Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

impl Hooks {
    pub(in crate::plugin) fn new(setup: &Arc<Setup>, shared: &Arc<Shared>, role: Role) -> Self {
        let (recorder, shared) = (shared.services.recorder.clone(), Arc::clone(shared));
        Self { setup: Arc::clone(setup), shared, recorder, role, op: "".into() }
    }

    /// The next requests are of the op with this id.
    pub(in crate::plugin) fn begin(&mut self, op: &str) {
        // Most plugins send none, and none need be given a copy.
        if !self.setup.grants.http.is_empty() {
            self.op = op.into();
        }
    }
}

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Exchanged, Error>> + Send> {
        let permitted = match self.role {
            Role::Filter => Err(Error::HttpRequestDenied),
            Role::Handler => Ok(Exchange::new(&self.setup, self.recorder.as_ref(), &self.op)),
        };
        let shared = Arc::clone(&self.shared);
        Box::new(async move {
            let sent = permitted?.send(request, options).await;
            count(&shared, &sent);
            let response = sent.map_err(|refused| match refused {
                Refused::NotGranted(_) => Error::HttpRequestDenied,
                Refused::Prohibited(_) => Error::DestinationIpProhibited,
                Refused::Failed(error) => error,
            })?;
            Ok((response, Box::new(async { Ok(()) }) as _))
        })
    }
}

/// Counts a request that was sent, and whether it was answered. One that is not granted, or recorded only, was not sent.
fn count(shared: &Shared, sent: &Result<Response<WasiBody>, Refused>) {
    if shared.services.recorder.is_none() && matches!(sent, Ok(_) | Err(Refused::Failed(_))) {
        shared.usage.request(sent.is_ok());
    }
}

/// What it takes to send a request of a plugin, for an op.
struct Exchange {
    setup: Arc<Setup>,
    recorder: Option<Recorder>,
    op: Arc<str>,
}

impl Exchange {
    fn new(setup: &Arc<Setup>, recorder: Option<&Recorder>, op: &Arc<str>) -> Self {
        Self { setup: Arc::clone(setup), recorder: recorder.cloned(), op: Arc::clone(op) }
    }

    /// Sends a request that is granted, and says in the log what is not.
    async fn send(
        self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Result<Response<WasiBody>, Refused> {
        let Self { setup, recorder, op } = self;
        let what = format!("{} {}", request.method(), of(&request));
        let sent = async {
            let permit = setup.http.permit(&request).map_err(|refused| match refused {
                Unpermitted::NotGranted => Refused::NotGranted(not_granted(&setup.name, &of(&request))),
                Unpermitted::Prohibited(prohibited) => Refused::Prohibited(prohibited),
            })?;
            match recorder {
                Some(recorder) => record(&recorder, &setup.name, &op, request).await.map_err(Refused::Failed),
                None => setup.http.send(request, permit, options).await,
            }
        };
        let sent = sent.await;
        let (plugin, op) = (&*setup.name, &*op);
        match &sent {
            Ok(response) => tracing::debug!(plugin, op, status = response.status().as_u16(), "{what}"),
            Err(Refused::NotGranted(reason)) => tracing::warn!(plugin, op, "{reason}"),
            Err(Refused::Prohibited(prohibited)) => {
                tracing::warn!(plugin, op, "{what} is not sent: {prohibited}");
            }
            Err(Refused::Failed(error)) => tracing::debug!(plugin, op, "{what}: {error}"),
        }
        sent
    }
}

fn not_granted(plugin: &str, server: &str) -> String {
    format!(
        "http to {server} is not granted to the plugin {plugin}: say --grant {plugin}:http={server}, or \
         [plugins.{plugin}.grants] http = [\"{server}\"] in gtm.toml"
    )
}

/// The server of a request. What comes after it may hold a secret.
fn of(request: &Request<WasiBody>) -> String {
    let uri = request.uri();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    format!("{}://{authority}", uri.scheme_str().unwrap_or("https"))
}

/// Takes a request down, and answers it as a server does that has nothing to say.
async fn record(
    recorder: &Recorder,
    plugin: &Arc<str>,
    op: &str,
    request: Request<WasiBody>,
) -> Result<Response<WasiBody>, Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let headers: serde_json::Map<_, _> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
        .collect();
    recorder.record(Effect {
        plugin: Arc::clone(plugin),
        op: op.to_owned(),
        capability: "http",
        what: json!({
            "method": parts.method.as_str(),
            "url": parts.uri.to_string(),
            "headers": headers,
            "body": String::from_utf8_lossy(&body),
        }),
    });
    let nothing = Full::new(bytes::Bytes::from_static(b"{}")).map_err(|never| match never {});
    Ok(Response::new(nothing.boxed_unsync()))
}
