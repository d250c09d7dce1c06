//! `wasi:http/outgoing-handler`: requests to the servers that are granted, with what the host adds to them.
//!
//! The name of the server is compared with the grants, and each address that it resolves to must be public, unless the grant says
//! otherwise. A redirect is not followed here: the plugin that follows it sends a request of its own, which is looked at anew.

mod addresses;
mod client;
mod resolver;

use std::future::Future;
use std::sync::Arc;

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use wasmtime::component::Linker;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

pub(in crate::plugin) use client::HttpClient;
use client::Refused;

use crate::plugin::services::{Effect, Recorder};
use crate::plugin::setup::Setup;
use crate::plugin::slot::Shared;
use crate::plugin::state::{Role, State};

/// For `handle`.
pub(in crate::plugin) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)
}

/// For `filter`: what requests are made of. To send one is refused by the linker.
pub(in crate::plugin) fn link_for_filter(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_sync(linker)
}

/// What becomes of the requests of an instance.
pub(in crate::plugin) struct Hooks {
    setup: Arc<Setup>,
    recorder: Option<Recorder>,
    role: Role,
    op: Arc<str>,
}

type Exchange = (Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

impl Hooks {
    pub(in crate::plugin) fn new(setup: &Arc<Setup>, shared: &Arc<Shared>, role: Role) -> Self {
        Self { setup: Arc::clone(setup), recorder: shared.services.recorder.clone(), role, op: "".into() }
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
    ) -> Box<dyn Future<Output = Result<Exchange, Error>> + Send> {
        let setup = Arc::clone(&self.setup);
        let (recorder, op) = (self.recorder.clone(), Arc::clone(&self.op));
        let what = format!("{} {}", request.method(), of(&request));
        let permitted = match self.role {
            Role::Filter => Err(Error::HttpRequestDenied),
            Role::Handler => {
                setup.http.permit(&request).map_err(|refused| say(&setup.name, &op, &what, refused))
            }
        };
        Box::new(async move {
            let permit = permitted?;
            let response = match recorder {
                Some(recorder) => record(&recorder, &setup.name, &op, request).await?,
                None => {
                    let sent = setup.http.send(request, permit, options).await;
                    sent.map_err(|refused| say(&setup.name, &op, &what, refused))?
                }
            };
            tracing::debug!(plugin = &*setup.name, op = &*op, status = response.status().as_u16(), "{what}");
            Ok((response, Box::new(async { Ok(()) }) as _))
        })
    }
}

/// The server of a request. What comes after it may hold a secret.
fn of(request: &Request<WasiBody>) -> String {
    let uri = request.uri();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    format!("{}://{authority}", uri.scheme_str().unwrap_or("https"))
}

/// Says what was tried and is not allowed, and gives back what the plugin is told.
fn say(plugin: &str, op: &str, what: &str, refused: Refused) -> Error {
    match refused {
        Refused::NotGranted => {
            let server = what.split_once(' ').map_or(what, |(_, server)| server);
            tracing::warn!(
                plugin,
                op,
                "http to {server} is not granted to the plugin {plugin}: say --grant {plugin}:http={server}, or \
                 [plugins.{plugin}.grants] http = [\"{server}\"] in gtm.toml"
            );
            Error::HttpRequestDenied
        }
        Refused::Prohibited(prohibited) => {
            tracing::warn!(plugin, op, "{what} is not sent: {prohibited}");
            Error::DestinationIpProhibited
        }
        Refused::Failed(error) => {
            tracing::debug!(plugin, op, "{what}: {error}");
            error
        }
    }
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
