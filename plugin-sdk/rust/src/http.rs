//! HTTP requests to the servers that the plugin is granted. In `handle` only.
//!
//! ```no_run
//! # fn f(op: &gtm_plugin::Op) -> gtm_plugin::Outcome {
//! use gtm_plugin::http::Request;
//!
//! let request = Request::post("https://api.example.com/events").header("content-type", "application/json");
//! let response = request.body(r#"{"seen":true}"#).send()?.check()?;
//! # Ok(())
//! # }
//! ```
//!
//! Redirects are not followed. What the host adds to a request, such as a token, the plugin does not see.

#[cfg(target_family = "wasm")]
use crate::bindings::gtm::plugin::http as contract;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a request is sent by send"]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// All of it: `https://api.example.com/events?x=1`.
    pub url: String,
    /// Names and values, in their order.
    pub headers: Vec<(String, String)>,
    /// What is sent with it.
    pub body: Vec<u8>,
}

impl Request {
    /// A request by this method.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self { method: method.into(), url: url.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// Reads what is there.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// Has the server do something.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// Sets what is there.
    pub fn put(url: impl Into<String>) -> Self {
        Self::new("PUT", url)
    }

    /// Removes what is there.
    pub fn delete(url: impl Into<String>) -> Self {
        Self::new("DELETE", url)
    }

    /// One more header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// What is sent with it.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it, and waits for the whole response.
    ///
    /// # Errors
    /// See [`Error`]. A status like 404 is no error here: see [`Response::check`].
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
            timeout: None,
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
    /// Names, in small letters, and values.
    pub headers: Vec<(String, String)>,
    /// What came with it.
    pub body: Vec<u8>,
}

impl Response {
    /// The response, if its status says that all went well (2xx).
    ///
    /// # Errors
    /// [`Error::Unavailable`]: a status that passes (408, 425, 429, 5xx). [`Error::Rejected`]: any other.
    pub fn check(self) -> Result<Self, Error> {
        let said = |what: &str| {
            let body = String::from_utf8_lossy(&self.body);
            let start: String = body.chars().take(200).collect();
            format!("the server {what} with status {}: {start}", self.status)
        };
        match self.status {
            200..=299 => Ok(self),
            408 | 425 | 429 | 500..=599 => Err(Error::Unavailable(said("cannot do it now and answers"))),
            _ => Err(Error::Rejected(said("refuses it"))),
        }
    }

    /// The value of a header. Its name is in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// Why there is no response, or none that is of use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The host does not let this plugin send it.
    #[error("{0}")]
    NotGranted(String),
    /// It cannot be sent as it is: a URL that is none, a header that is none, too large a body, there or back.
    #[error("{0}")]
    Invalid(String),
    /// The server cannot be reached now, or took too long, or says that it cannot do it now.
    #[error("{0}")]
    Unavailable(String),
    /// The server refuses it for good.
    #[error("{0}")]
    Rejected(String),
}

#[cfg(target_family = "wasm")]
impl From<contract::Error> for Error {
    fn from(error: contract::Error) -> Self {
        match error {
            contract::Error::NotGranted(reason) => Self::NotGranted(reason),
            contract::Error::Invalid(reason) => Self::Invalid(reason),
            contract::Error::Unavailable(reason) => Self::Unavailable(reason),
        }
    }
}
