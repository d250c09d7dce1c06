//! `wasi:http/outgoing-handler`: requests and responses whose bodies are streamed.

use std::future::Future;
use std::sync::Arc;

use http::header::CONTENT_LENGTH;
use http::{HeaderName, Request, Response};
use http_body_util::BodyExt;
use wasmtime_wasi_http::{Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks};

use super::client::HttpRefusal;
use super::entrance;
use super::exchange::{HttpExchange, count};
use super::request::{Body, RequestHead, is_forbidden, take_length};
use crate::budget::Budget;
use crate::handle::PluginContext;
use crate::obstacle::CallNotes;
use crate::services::Recorder;
use crate::setup::Setup;
use crate::state::{CallContext, InstanceRole};

/// Bytes that are charged for a streamed response: more than hyper reads ahead.
const RESPONSE_CHARGE: usize = 512 * 1024;

/// Sends the requests that an instance makes with `wasi:http`.
pub(crate) struct HttpHooks {
    setup: Arc<Setup>,
    shared: Arc<PluginContext>,
    recorder: Option<Recorder>,
    role: InstanceRole,
    /// The op. Empty: the instance starts.
    pub(super) op: Arc<str>,
    notes: CallNotes,
    budget: Budget,
}

type Exchanged = (Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

impl HttpHooks {
    /// Makes the hooks of an instance. Responses are charged to its budget.
    pub(super) fn new(call: &CallContext) -> Self {
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
