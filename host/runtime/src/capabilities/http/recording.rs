//! Requests that are recorded instead of sent.

use std::sync::Arc;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderName, Request, Response, StatusCode};
use serde_json::json;
use wasmtime_wasi_http::{Error, WasiBody};

use super::request::{collected, whole};
use super::{Capability, Http};
use crate::secret::without_passwords;
use crate::services::{Effect, Recorder};

/// What is recorded instead of the value of a header that the host adds.
const HIDDEN: &str = "…";

/// A recorded request.
pub(super) enum RecordedRequest {
    /// The answer was set in advance.
    Answered(Response<WasiBody>),
    /// The answer is made up: an empty object.
    MadeUp(Response<WasiBody>),
    /// It is sent, as it only reads.
    LetThrough(Request<WasiBody>),
}

/// Records a request, and finds its answer. `added`: the names of the headers that the host would add.
pub(super) async fn record(
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
