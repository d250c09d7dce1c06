//! Sends HTTP requests to the granted servers. Available in `handle` and `tick` only.
//!
//! ```no_run
//! # fn f(op: &gtm_plugin::Op) -> gtm_plugin::Outcome {
//! use gtm_plugin::http::Request;
//!
//! let request = Request::post("https://api.example.com/events").header("content-type", "application/json");
//! let response = request.body(r#"{"seen":true}"#).idempotency_key(op).send()?.error_for_status()?;
//! # Ok(())
//! # }
//! ```
//!
//! The host does not follow redirects. It can add headers, such as a token, that the plugin does not see.

use std::time::Duration;

#[cfg(target_family = "wasm")]
use crate::bindings::gtm::plugin::http as contract;
use crate::{Error, Failure, Op};

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a request is sent by send"]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// `https://api.example.com/events?x=1`
    pub url: String,
    /// Names and values, in their order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The time to wait for an answer. None: as long as the host allows for a call.
    pub timeout: Option<Duration>,
}

impl Request {
    /// Makes a request with this method.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self { method: method.into(), url: url.into(), headers: Vec::new(), body: Vec::new(), timeout: None }
    }

    /// Makes a GET request.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// Makes a POST request.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// Makes a PUT request.
    pub fn put(url: impl Into<String>) -> Self {
        Self::new("PUT", url)
    }

    /// Makes a DELETE request.
    pub fn delete(url: impl Into<String>) -> Self {
        Self::new("DELETE", url)
    }

    /// Limits the time to wait for an answer. The host's own limit applies in any case.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Adds the header `Idempotency-Key` with the op's id, which is the same each time the op is delivered, so that a server that knows
    /// the header does the work once.
    pub fn idempotency_key(self, op: &Op) -> Self {
        self.header("idempotency-key", op.id())
    }

    /// Adds a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends the request and returns the whole response.
    ///
    /// # Errors
    /// See [`Error`]. A status such as 404 is not an error here: see [`Response::error_for_status`].
    pub fn send(&self) -> Result<Response, Error> {
        #[cfg(target_family = "wasm")]
        return self.send_by_host();
        #[cfg(not(target_family = "wasm"))]
        crate::testing::host::http::send(self)
    }

    #[cfg(target_family = "wasm")]
    fn send_by_host(&self) -> Result<Response, Error> {
        let request = contract::Request {
            method: self.method.clone(),
            url: self.url.clone(),
            headers: self.headers.clone(),
            body: (!self.body.is_empty()).then(|| self.body.clone()),
            timeout: self.timeout.map(|timeout| u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX)),
        };
        let contract::Response { status, headers, body } = contract::send(&request)?;
        Ok(Response { status, headers, body })
    }
}

/// A response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// `200`, …
    pub status: u16,
    /// The names, in lowercase, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// Returns the response if its status means success (2xx).
    ///
    /// # Errors
    /// A retry for a status that may pass (408, 425, 429, 5xx), after the time in the header `Retry-After` if there is one; otherwise a
    /// rejection.
    pub fn error_for_status(self) -> Result<Self, Failure> {
        let reason = |what: &str| {
            let body = String::from_utf8_lossy(&self.body);
            let start: String = body.chars().take(200).collect();
            format!("the server {what} with status {}: {start}", self.status)
        };
        match self.status {
            200..=299 => Ok(self),
            408 | 425 | 429 | 500..=599 => {
                let failure = Failure::retry(reason("cannot do it now and answers"));
                Err(match self.retry_after() {
                    Some(pause) => failure.after(pause),
                    None => failure,
                })
            }
            _ => Err(Failure::reject(reason("refuses the request"))),
        }
    }

    /// Returns the pause that the server asks for in the header `Retry-After`, as a number of seconds or a date.
    pub fn retry_after(&self) -> Option<Duration> {
        let value = self.header("retry-after")?.trim();
        if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
            // A number that is too large is a long time, too.
            return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
        }
        let date = httpdate::parse_http_date(value).ok()?;
        Some(date.duration_since(std::time::SystemTime::now()).unwrap_or_default())
    }

    /// Returns the value of a header. The name must be in lowercase.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, headers: &[(&str, &str)]) -> Response {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Response { status, headers, ..Response::default() }
    }

    #[test]
    fn the_status_and_retry_after_decide() {
        assert!(response(204, &[]).error_for_status().is_ok());
        let failed = |status, headers| response(status, headers).error_for_status().unwrap_err();
        assert!(matches!(failed(503, &[]), Failure::Retry(_)));
        let busy = failed(429, &[("retry-after", "7")]);
        assert!(matches!(busy, Failure::RetryAfter(pause, _) if pause == Duration::from_secs(7)));
        let long = failed(503, &[("retry-after", "99999999999999999999")]);
        assert!(matches!(long, Failure::RetryAfter(..)), "{long:?}");
        let past = failed(503, &[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]);
        assert!(matches!(past, Failure::RetryAfter(Duration::ZERO, _)), "{past:?}");
        assert!(matches!(failed(503, &[("retry-after", "soon")]), Failure::Retry(_)));
        assert!(matches!(failed(404, &[("retry-after", "7")]), Failure::Reject(_)));
    }
}
