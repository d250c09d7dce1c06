//! `gtm:plugin/http`: a request and its response in one call, for languages without a library over `wasi:http`.

use std::time::Duration;

use gtm_text::sanitize::size_in_memory;
use http::{HeaderName, HeaderValue};
use http_body_util::BodyExt;
use wasmtime_wasi_http::{Error as Failure, RequestOptions};

use super::HttpView;
use super::client::{CONNECT_TIMEOUT, HttpRefusal, words};
use super::contract::{Host, Request, Response};
use super::exchange::{HttpExchange, count};
use super::request::{Body, RequestHead};
use crate::abi::v0_2::types::Error;
use crate::budget::BudgetExceeded;
use crate::setup::Setup;

impl Host for HttpView<'_> {
    async fn send(&mut self, request: Request) -> Result<Response, Error> {
        if self.op.is_empty() {
            return Err(Error::NotGranted("requests can be sent in handle only".to_owned()));
        }
        let timeout = request.timeout.map(|millis| Duration::from_millis(millis.into()));
        let options = RequestOptions { first_byte_timeout: timeout, ..RequestOptions::default() };
        let recorder = self.shared.services.recorder.as_ref();
        let exchange = HttpExchange::new(&self.setup, recorder, &self.op.as_str().into(), &self.notes);
        let limit = self.setup.limits.call_timeout;
        let Request { method, url, headers, body, .. } = request;
        let given: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let given = given + method.len() + url.len() + body.as_ref().map_or(0, Vec::len);
        let too_large = |exceeded: BudgetExceeded| Error::TooLarge(exceeded.to_string());
        let mut charge = self.budget.charge(given).map_err(too_large)?;
        let head =
            RequestHead::parse(&method, &url).map_err(|invalid| Error::Invalid(invalid.to_string()))?;
        let server = head.server().to_string();
        let own = timeout.filter(|timeout| *timeout < limit);
        let error = |refused| error(refused, &server, own, &self.setup);
        let answered = async {
            let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
            let sent =
                exchange.send(head, headers, body.map_or(Body::None, Body::Whole), Some(options)).await;
            count(&self.shared, &sent);
            let response = sent.map_err(error)?;
            let (parts, mut body) = response.into_parts();
            let mut bytes = Vec::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|failure| error(HttpRefusal::Failed(failure)))?;
                if let Ok(data) = frame.into_data() {
                    charge.add(data.len()).map_err(too_large)?;
                    bytes.extend_from_slice(&data);
                }
            }
            let header = |(name, value): (&HeaderName, &HeaderValue)| {
                (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            };
            let headers = parts.headers.iter().map(header).collect();
            Ok(Response { status: parts.status.as_u16(), headers, body: bytes })
        };
        match tokio::time::timeout(own.unwrap_or(limit), answered).await {
            Ok(answered) => answered,
            Err(_) => Err(error(HttpRefusal::Failed(Failure::HttpResponseTimeout))),
        }
    }
}

/// Converts a refusal to the error that the plugin gets. `own`: the time limit that the plugin set itself.
fn error(refused: HttpRefusal, server: &str, own: Option<Duration>, setup: &Setup) -> Error {
    let too_large = |what: &str| {
        let (limit, remedy) = (size_in_memory(setup.limits.http_bytes), setup.raise(&["http_bytes"]));
        Error::TooLarge(format!(
            "the body of the {what} is too large, {server}: the limit is {limit}{remedy}"
        ))
    };
    let unavailable = |why: &str| Error::Unavailable(format!("{server} {why}"));
    match refused {
        HttpRefusal::NotGranted(reason) => Error::NotGranted(reason),
        HttpRefusal::Prohibited(prohibited) => Error::NotGranted(prohibited.to_string()),
        HttpRefusal::Invalid(invalid) => Error::Invalid(invalid.to_string()),
        HttpRefusal::Failed(failure) => match failure {
            Failure::HttpRequestBodySize(_) => too_large("request"),
            Failure::HttpResponseBodySize(_) => too_large("response"),
            Failure::InternalError(Some(reason)) => unavailable(&format!("cannot be asked: {reason}")),
            Failure::ConnectionRefused => unavailable("refuses the connection"),
            Failure::ConnectionTimeout => {
                unavailable(&format!("did not accept the connection within {} s", CONNECT_TIMEOUT.as_secs()))
            }
            Failure::HttpResponseTimeout => match own {
                Some(own) => unavailable(&format!(
                    "did not answer within {}, the time limit of the plugin",
                    humantime::format_duration(own)
                )),
                None => unavailable(&format!("did not answer within {}", setup.call_timeout_in_words())),
            },
            other => unavailable(&format!("cannot be asked: {}", words(&other))),
        },
    }
}
