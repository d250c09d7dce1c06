//! The client of the API. It blocks, because a command waits for nothing else.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use gtm_delivery::{HostStatus, Swapped};
use http::header::{AUTHORIZATION, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::Empty;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::find::find;
use super::transport::{Endpoint, RequestError};
use super::{AdminAddress, token};

/// More than a seek takes that waits for a server (30 s) and for the ops in work (30 s).
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);

/// A client of a running host.
#[derive(Debug)]
pub struct AdminClient {
    endpoint: Endpoint,
    /// The address, for messages.
    address: String,
    /// The value of the header `Host`.
    authority: String,
    token: Option<String>,
    answer_timeout: Duration,
}

/// Why a host does not answer, or refuses a command.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No host listens.
    #[error(
        "no host answers on {address}: {reason}. help: pass --admin with the address that the host was started with"
    )]
    Unreachable {
        /// The address.
        address: String,
        /// The error of the system.
        reason: io::Error,
    },
    /// A program of another user listens.
    #[error(
        "a program of the user with the number {user} listens at the socket {address}, so its answers are not trusted. help: run \
         this as that user, or check the path"
    )]
    OtherUser {
        /// The address.
        address: String,
        /// The number of the user.
        user: u32,
    },
    /// No socket of this user's hosts answers.
    #[error("{}", no_host(name.as_deref(), directories))]
    NoHost {
        /// The pipeline that was asked for, if one was.
        name: Option<String>,
        /// The directories in which sockets were searched for.
        directories: Vec<PathBuf>,
    },
    /// Several hosts answer.
    #[error(
        "several hosts run here: {hosts}. help: pass --name NAME, or --admin with the path of its socket"
    )]
    WhichHost {
        /// The hosts that answer.
        hosts: String,
    },
    /// The settings turn the API off.
    #[error("the admin API is off. help: pass --admin HOST:PORT or the path of a socket")]
    Off,
    /// The host refuses the command.
    #[error("{0}")]
    Refused(String),
    /// The token is wrong or missing.
    #[error(
        "the host on {address} refuses this: {reason}. help: pass its token with --admin-token-file or GTM_ADMIN_TOKEN; \
         without --admin, commands find your own host on this machine"
    )]
    Unauthorized {
        /// The address.
        address: String,
        /// The reason that the host returns.
        reason: String,
    },
    /// The answer is not that of a host.
    #[error("the program that answers on {address} is not a gtm-host of this version: {reason}")]
    Strange {
        /// The address.
        address: String,
        /// The error in the answer.
        reason: String,
    },
    /// The token is not valid.
    #[error(transparent)]
    Token(#[from] super::AdminError),
}

fn no_host(name: Option<&str>, directories: &[PathBuf]) -> String {
    let named = name.map(|name| format!(" of the name {name}")).unwrap_or_default();
    let searched: Vec<_> = directories.iter().map(|directory| directory.display().to_string()).collect();
    format!(
        "no host{named} of this user runs here: no socket in {} answers. help: pass the name of the pipeline with --name, run this \
         as the user of the host, or pass --admin HOST:PORT or the path of its socket",
        searched.join(", ")
    )
}

#[derive(Deserialize)]
struct RefusedAnswer {
    error: String,
}

/// The plugins that carried out a command.
#[derive(Deserialize)]
struct ChangedPlugins {
    plugins: Vec<String>,
}

impl AdminClient {
    /// Makes a client of the host at this address, with this token. Without one, it uses the token that a host of this user on this machine
    /// made.
    ///
    /// # Errors
    /// Fails if the token is not valid, or the address is `none`.
    pub fn new(address: &AdminAddress, token: Option<&str>) -> Result<Self, ClientError> {
        super::check_token(token)?;
        match address {
            AdminAddress::Socket(path) => Ok(Self::at_socket(path, ANSWER_TIMEOUT)),
            AdminAddress::Tcp(address) => {
                let address = address.reachable();
                let token = token.map(str::to_owned).or_else(|| token::find(&address));
                let authority = address.to_string();
                Ok(Self {
                    endpoint: Endpoint::Tcp(address),
                    address: authority.clone(),
                    authority,
                    token,
                    answer_timeout: ANSWER_TIMEOUT,
                })
            }
            AdminAddress::None => Err(ClientError::Off),
        }
    }

    /// Makes a client of this user's host for a pipeline, or of the only host without a name.
    ///
    /// # Errors
    /// Fails if no host answers, or several could be meant.
    pub fn of_pipeline(pipeline: Option<&str>) -> Result<Self, ClientError> {
        find(pipeline).map(|path| Self::at_socket(&path, ANSWER_TIMEOUT))
    }

    /// Makes a client of the host at this socket, which waits this long for an answer.
    pub(super) fn at_socket(path: &Path, answer_timeout: Duration) -> Self {
        Self {
            endpoint: Endpoint::Socket(path.to_owned()),
            address: path.display().to_string(),
            authority: "localhost".to_owned(),
            token: None,
            answer_timeout,
        }
    }

    /// Returns the status of the host.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn status(&self) -> Result<HostStatus, ClientError> {
        self.send(Method::GET, "status", &[])
    }

    /// Pauses a plugin, or all without a name. Returns the names of the paused plugins.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn pause(&self, plugin: Option<&str>) -> Result<Vec<String>, ClientError> {
        self.change("pause", plugin, None)
    }

    /// Resumes a plugin, or all without a name. Returns the names of the resumed plugins.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn resume(&self, plugin: Option<&str>) -> Result<Vec<String>, ClientError> {
        self.change("resume", plugin, None)
    }

    /// Moves the position of a plugin, or of the only one, to a [`StartAt`](gtm_source::StartAt) as text. Returns its name.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn seek(&self, plugin: Option<&str>, to: &str) -> Result<Vec<String>, ClientError> {
        self.change("seek", plugin, Some(to))
    }

    /// Swaps a plugin for the version in a file on the host's machine.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn swap(&self, plugin: &str, file: &str) -> Result<Swapped, ClientError> {
        self.send(Method::POST, "swap", &[("plugin", Some(plugin)), ("file", Some(file))])
    }

    fn change(
        &self,
        action: &str,
        plugin: Option<&str>,
        to: Option<&str>,
    ) -> Result<Vec<String>, ClientError> {
        let changed = self.send(Method::POST, action, &[("plugin", plugin), ("to", to)]);
        changed.map(|ChangedPlugins { plugins }| plugins)
    }

    fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, Option<&str>)],
    ) -> Result<T, ClientError> {
        let query = query.iter().filter_map(|(name, value)| Some((name, (*value)?)));
        let query: Vec<_> = query
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
            .collect();
        let mut request = Request::builder().method(method).header(HOST, &self.authority);
        request = match query.as_slice() {
            [] => request.uri(format!("/{path}")),
            query => request.uri(format!("/{path}?{}", query.join("&"))),
        };
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let answer = match request.body(Empty::new()) {
            Ok(request) => self.endpoint.send(request, self.answer_timeout),
            Err(error) => Err(RequestError::Unreachable(io::Error::other(error))),
        };
        self.parse(answer)
    }

    fn parse<T: DeserializeOwned>(
        &self,
        answer: Result<(StatusCode, Bytes), RequestError>,
    ) -> Result<T, ClientError> {
        let address = || self.address.clone();
        let strange = |reason: String| ClientError::Strange { address: address(), reason };
        let (status, body) = answer.map_err(|error| match error {
            RequestError::OtherUser(user) => ClientError::OtherUser { address: address(), user },
            RequestError::Unreachable(reason) => ClientError::Unreachable { address: address(), reason },
            RequestError::Strange(reason) => strange(reason),
        })?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| strange(error.to_string()));
        }
        match serde_json::from_slice(&body) {
            Ok(RefusedAnswer { error }) if status == StatusCode::UNAUTHORIZED => {
                Err(ClientError::Unauthorized { address: address(), reason: error })
            }
            Ok(RefusedAnswer { error }) => Err(ClientError::Refused(error)),
            Err(_) => Err(strange(format!("it returned {status}"))),
        }
    }
}
