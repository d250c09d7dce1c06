//! One request of a plugin for an op, of either interface: whether it is granted, and whether it is sent or recorded.

use std::sync::Arc;

use http::{Method, Response, Uri};
use wasmtime_wasi_http::{RequestOptions, WasiBody};

use super::client::{HttpRefusal, Permit, PermitRefusal};
use super::recording::{RecordedRequest, record};
use super::request::{Body, RequestHead};
use super::{Http, ListedCapability};
use crate::call::cut;
use crate::handle::PluginContext;
use crate::obstacle::CallNotes;
use crate::remedy::PluginRemedy;
use crate::services::Recorder;
use crate::setup::Setup;
use crate::state;

/// Counts a request that was sent, and whether it was answered. A refused or recorded request was not sent.
pub(super) fn count(shared: &PluginContext, sent: &Result<Response<WasiBody>, HttpRefusal>) {
    if shared.services.recorder.is_none() && matches!(sent, Ok(_) | Err(HttpRefusal::Failed(_))) {
        shared.usage.request(sent.is_ok());
    }
}

/// Sends one request of a plugin, for an op.
pub(super) struct HttpExchange {
    pub(super) setup: Arc<Setup>,
    recorder: Option<Recorder>,
    op: Arc<str>,
    notes: CallNotes,
}

impl HttpExchange {
    pub(super) fn new(
        setup: &Arc<Setup>,
        recorder: Option<&Recorder>,
        op: &Arc<str>,
        notes: &CallNotes,
    ) -> Self {
        let (recorder, notes) = (recorder.cloned(), notes.clone());
        Self { setup: Arc::clone(setup), recorder, op: Arc::clone(op), notes }
    }

    /// Returns whether the host collects the whole body of such a request before it is sent.
    pub(super) fn collects(&self, method: &Method, uri: &Uri) -> bool {
        let client = &self.setup.prepared.http;
        self.recorder.is_some() || client.permit(method, uri).is_ok_and(|permit| client.signs(permit))
    }

    /// Sends a granted request, and records an obstacle for one that is not granted.
    pub(super) async fn send<'a>(
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
