//! `gtm:plugin/http`: a request and its response in one call, for languages without a library over `wasi:http`.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Uri};
use http_body_util::{BodyExt, Empty, Full};
use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi_http::{Error as Failure, RequestOptions, WasiBody};

use super::client::{CONNECT, Refused};
use super::{Exchange, count, of, words};
use crate::plugin::bindings::http::{self as contract, Error, Host, Request, Response};
use crate::plugin::setup::Setup;
use crate::plugin::state::State;
use crate::secret::server as shown;

/// For `handle`.
pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    contract::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

impl Host for State {
    async fn send(&mut self, request: Request) -> Result<Response, Error> {
        if self.op.is_empty() {
            return Err(Error::NotGranted("requests can be sent in handle only".to_owned()));
        }
        let timeout = request.timeout.map(|millis| Duration::from_millis(millis.into()));
        let options = RequestOptions { first_byte_timeout: timeout, ..RequestOptions::default() };
        let recorder = self.shared.services.recorder.as_ref();
        let exchange = Exchange::new(&self.setup, recorder, &self.op.as_str().into(), &self.notes);
        let limit = self.setup.limits.call_timeout;
        let request = built(request)?;
        let server = of(&request);
        let own = timeout.filter(|timeout| *timeout < limit);
        let error = |refused| error(refused, &server, own, &self.setup);
        let answered = async {
            let sent = exchange.send(request, Some(options)).await;
            count(&self.shared, &sent);
            let response = sent.map_err(error)?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map_err(|failure| error(Refused::Failed(failure)))?;
            let header = |(name, value): (&HeaderName, &HeaderValue)| {
                (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            };
            let headers = parts.headers.iter().map(header).collect();
            Ok(Response { status: parts.status.as_u16(), headers, body: body.to_bytes().into() })
        };
        match tokio::time::timeout(own.unwrap_or(limit), answered).await {
            Ok(answered) => answered,
            Err(_) => Err(error(Refused::Failed(Failure::HttpResponseTimeout))),
        }
    }
}

fn built(request: Request) -> Result<http::Request<WasiBody>, Error> {
    let invalid = |what: &str, why: &dyn std::fmt::Display| Error::Invalid(format!("{what}: {why}"));
    let uri: Uri = request
        .url
        .parse()
        .map_err(|error| invalid(&format!("\"{}\" is no URL", shown(&request.url)), &error))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(invalid(
            &format!("\"{}\" is no URL", shown(&request.url)),
            &"it begins with http:// or https://",
        ));
    }
    let method = Method::from_bytes(request.method.as_bytes())
        .map_err(|error| invalid(&format!("\"{}\" is no method", request.method), &error))?;
    let mut built = http::Request::new(match request.body {
        Some(body) => Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync(),
        None => Empty::new().map_err(|never| match never {}).boxed_unsync(),
    });
    *built.uri_mut() = uri;
    *built.method_mut() = method;
    for (name, value) in request.headers {
        let described = || format!("the header \"{name}\" cannot be sent");
        let value = HeaderValue::from_str(&value).map_err(|error| invalid(&described(), &error))?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| invalid(&described(), &error))?;
        built.headers_mut().append(name, value);
    }
    Ok(built)
}

/// What the plugin hears. `own`: the time that it gave the server itself.
fn error(refused: Refused, server: &str, own: Option<Duration>, setup: &Setup) -> Error {
    let too_large = |what: &str| {
        let limit = setup.http_bytes_in_words();
        Error::Invalid(format!("the body of the {what} is too large, {server}: the limit is {limit}"))
    };
    let unavailable = |why: &str| Error::Unavailable(format!("{server} {why}"));
    match refused {
        Refused::NotGranted(reason) => Error::NotGranted(reason),
        Refused::Prohibited(prohibited) => Error::NotGranted(prohibited.to_string()),
        Refused::Failed(failure) => match failure {
            Failure::HttpRequestBodySize(_) => too_large("request"),
            Failure::HttpResponseBodySize(_) => too_large("response"),
            Failure::InternalError(Some(reason)) => unavailable(&format!("cannot be asked: {reason}")),
            Failure::ConnectionRefused => unavailable("refuses the connection"),
            Failure::ConnectionTimeout => {
                unavailable(&format!("does not take the connection within {} s", CONNECT.as_secs()))
            }
            Failure::HttpResponseTimeout => match own {
                Some(own) => unavailable(&format!(
                    "did not answer within {}, the time that the plugin gave it",
                    humantime::format_duration(own)
                )),
                None => unavailable(&format!("did not answer within {}", setup.call_timeout_in_words())),
            },
            other => unavailable(&format!("cannot be asked: {}", words(&other))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_no_password() {
        let request = |url: &str| {
            let (method, url) = ("GET".to_owned(), url.to_owned());
            built(Request { method, url, headers: Vec::new(), body: None, timeout: None })
        };
        for url in
            ["ftp://ada:s3cret@api.example.com/", "https://ada:s3cret@api example.com/", "ada:s3cret@a/b"]
        {
            let Err(Error::Invalid(said)) = request(url) else { panic!("{url}") };
            assert!(said.contains("is no URL") && !said.contains("s3cret"), "{said}");
        }
        let granted_none = request("https://ada:s3cret@api.example.com/a?token=s3cret").unwrap();
        assert_eq!(of(&granted_none), "https://api.example.com");
    }
}
