//! The requests of the SDK, but by `wasi:http/outgoing-handler`: for plugins with a library of their own.

use gtm_plugin::Error;
use gtm_plugin::http::{Request, Response};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
};
use wasip2::io::streams::StreamError;

/// Bytes that a stream of the host takes at once.
const AT_ONCE: usize = 4096;
/// Bytes that are read at once.
const READ_AT_ONCE: u64 = 64 * 1024;

pub(super) fn send(request: &Request) -> Result<Response, Error> {
    let (outgoing, body) = outgoing(request)?;
    let future = outgoing_handler::handle(outgoing, None).map_err(failed)?;
    // What is refused is so before anything is written.
    if let Some(body) = body {
        write(body, &request.body)?;
    }
    loop {
        match future.get() {
            Some(Ok(response)) => return read(response.map_err(failed)?),
            // It is asked once only.
            Some(Err(())) => return Err(Error::Unavailable("the response was taken before".to_owned())),
            None => future.subscribe().block(),
        }
    }
}

fn outgoing(request: &Request) -> Result<(OutgoingRequest, Option<OutgoingBody>), Error> {
    let invalid = |what: &str| Error::Invalid(format!("{what} in the request to {}", request.url));
    let headers = Fields::new();
    for (name, value) in &request.headers {
        headers
            .append(name, value.as_bytes())
            .map_err(|error| Error::Invalid(format!("the header {name} cannot be sent: {error}")))?;
    }
    if !request.body.is_empty() {
        let length = request.body.len().to_string().into_bytes();
        headers.set("content-length", &[length]).map_err(|_| invalid("the length cannot be set"))?;
    }
    let outgoing = OutgoingRequest::new(headers);
    let (scheme, rest) = match request.url.split_once("://") {
        Some(("https", rest)) => (Scheme::Https, rest),
        Some(("http", rest)) => (Scheme::Http, rest),
        _ => return Err(invalid("there is no http:// or https://")),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let path = path.split('#').next().unwrap_or_default();
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    outgoing.set_method(&method(&request.method)).map_err(|()| invalid("there is no such method"))?;
    outgoing.set_scheme(Some(&scheme)).map_err(|()| invalid("there is no such scheme"))?;
    outgoing.set_authority(Some(authority)).map_err(|()| invalid("there is no such server"))?;
    outgoing.set_path_with_query(Some(&path)).map_err(|()| invalid("there is no such path"))?;
    let body = match request.body.is_empty() {
        true => None,
        false => Some(outgoing.body().map_err(|()| invalid("there is no body"))?),
    };
    Ok((outgoing, body))
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

fn write(body: OutgoingBody, bytes: &[u8]) -> Result<(), Error> {
    // A server that answers before it has read all is asked what it says.
    if let Ok(stream) = body.write() {
        for part in bytes.chunks(AT_ONCE) {
            match stream.blocking_write_and_flush(part) {
                Ok(()) => {}
                Err(StreamError::Closed) => return Ok(()),
                Err(StreamError::LastOperationFailed(_)) => return Ok(()),
            }
        }
    }
    // What is wrong with it is said by the response.
    let _ = OutgoingBody::finish(body, None);
    Ok(())
}

fn read(response: IncomingResponse) -> Result<Response, Error> {
    let status = response.status();
    let text = |(name, value): (String, Vec<u8>)| (name, String::from_utf8_lossy(&value).into_owned());
    let headers = response.headers().entries().into_iter().map(text).collect();
    let body = response.consume().map_err(|()| Error::Unavailable("the body was taken before".to_owned()))?;
    let stream = body.stream().map_err(|()| Error::Unavailable("the body was taken before".to_owned()))?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(READ_AT_ONCE) {
            Ok(part) => bytes.extend(part),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => {
                let code = wasip2::http::types::http_error_code(&error);
                return Err(code.map_or_else(|| Error::Unavailable(error.to_debug_string()), failed));
            }
        }
    }
    drop(stream);
    drop(IncomingBody::finish(body));
    Ok(Response { status, headers, body: bytes })
}

fn failed(error: ErrorCode) -> Error {
    let said = "its log says what is granted";
    match error {
        ErrorCode::HttpRequestDenied => {
            Error::NotGranted(format!("the host does not let this plugin send the request: {said}"))
        }
        ErrorCode::DestinationIpProhibited => Error::NotGranted(format!(
            "the host does not let this plugin reach the address of the server: {said}"
        )),
        ErrorCode::HttpRequestBodySize(_) => {
            Error::Invalid("the body of the request is too large".to_owned())
        }
        ErrorCode::HttpResponseBodySize(_) => {
            Error::Rejected("the body of the response is too large".to_owned())
        }
        ErrorCode::HttpRequestUriInvalid | ErrorCode::HttpRequestMethodInvalid => {
            Error::Invalid(format!("the request cannot be sent: {error}"))
        }
        ErrorCode::InternalError(Some(reason)) => Error::Unavailable(reason),
        other => Error::Unavailable(format!("the server cannot be asked: {}", words(&other))),
    }
}

fn words(error: &ErrorCode) -> String {
    match error {
        ErrorCode::ConnectionRefused => "it refuses the connection".to_owned(),
        ErrorCode::ConnectionTimeout => "the connection is not made in time".to_owned(),
        ErrorCode::HttpResponseTimeout => "it does not answer in time".to_owned(),
        ErrorCode::ConnectionTerminated => "it closed the connection".to_owned(),
        other => format!("{other:?}"),
    }
}
