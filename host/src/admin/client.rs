//! The client of the API, which blocks: the commands wait for nothing else.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::http::Response;
use ureq::{Body, Error};

use super::AdminAddress;
use crate::delivery::{HostStatus, Swapped};

/// A host on this machine answers at once, or is not there.
const CONNECT: Duration = Duration::from_secs(5);
/// More than a seek takes that waits for a server (30 s) and for the ops that are in work (30 s).
const ANSWER: Duration = Duration::from_secs(90);
/// Far more than the status of any host.
const LONGEST: u64 = 16 << 20;

/// What asks a running host.
#[derive(Debug)]
pub struct AdminClient {
    agent: Agent,
    address: AdminAddress,
    token: Option<String>,
}

/// Why a host does not answer, or does not do what it is told.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no host answers on {address}: {reason}. Was it started with --admin {address}?")]
    Unreachable {
        /// Where.
        address: AdminAddress,
        /// What the system says.
        reason: Box<Error>,
    },
    /// The host refuses.
    #[error("{0}")]
    Refused(String),
    /// The token is wrong, or there is none.
    #[error(
        "the host on {address} refuses this: {reason}. Give its token by --admin-token-file or GTM_ADMIN_TOKEN"
    )]
    Unauthorized {
        /// Where.
        address: AdminAddress,
        /// What it says.
        reason: String,
    },
    /// Something else listens there.
    #[error("what answers on {address} is not a gtm-host of this version: {reason}")]
    Strange {
        /// Where.
        address: AdminAddress,
        /// What is wrong.
        reason: String,
    },
    /// The token cannot be one.
    #[error(transparent)]
    Token(#[from] super::AdminError),
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// Who was told something.
#[derive(Deserialize)]
struct Told {
    plugins: Vec<String>,
}

impl AdminClient {
    /// For the host that listens at this address, and wants this token.
    ///
    /// # Errors
    /// The token cannot be one.
    pub fn new(address: &AdminAddress, token: Option<&str>) -> Result<Self, ClientError> {
        super::check(token)?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // What is on this machine, or in this network, is not behind a proxy.
            .proxy(None)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(ANSWER))
            .build();
        Ok(Self { agent: config.into(), address: address.reachable(), token: token.map(str::to_owned) })
    }

    /// What it does.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn status(&self) -> Result<HostStatus, ClientError> {
        self.understood(self.request(self.agent.get(self.url("status"))).call())
    }

    /// Tells a plugin to pause or, without a name, all. Gives back the names of those that do.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn pause(&self, plugin: Option<&str>) -> Result<Vec<String>, ClientError> {
        self.tell("pause", plugin, None)
    }

    /// Tells a plugin, or all, to go on.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn resume(&self, plugin: Option<&str>) -> Result<Vec<String>, ClientError> {
        self.tell("resume", plugin, None)
    }

    /// Tells a plugin, or the only one, to go on from there: a [`Start`](crate::source::Start), as text.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn seek(&self, plugin: Option<&str>, to: &str) -> Result<Vec<String>, ClientError> {
        self.tell("seek", plugin, Some(to))
    }

    /// Has a plugin go on with the version that is in a file of the host's machine.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn swap(&self, plugin: &str, file: &str) -> Result<Swapped, ClientError> {
        self.post("swap", &[("plugin", Some(plugin)), ("file", Some(file))])
    }

    fn tell(&self, what: &str, plugin: Option<&str>, to: Option<&str>) -> Result<Vec<String>, ClientError> {
        self.post(what, &[("plugin", plugin), ("to", to)]).map(|Told { plugins }| plugins)
    }

    fn post<T: DeserializeOwned>(
        &self,
        what: &str,
        query: &[(&str, Option<&str>)],
    ) -> Result<T, ClientError> {
        let query = query.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
        let request = self.request(self.agent.post(self.url(what)).query_pairs(query));
        self.understood(request.send_empty())
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    fn request<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    fn understood<T: DeserializeOwned>(
        &self,
        answer: Result<Response<Body>, Error>,
    ) -> Result<T, ClientError> {
        let address = || self.address.clone();
        let mut answer = answer
            .map_err(|reason| ClientError::Unreachable { address: address(), reason: Box::new(reason) })?;
        let strange = |reason: String| ClientError::Strange { address: address(), reason };
        let status = answer.status();
        let body = answer.body_mut().with_config().limit(LONGEST).read_to_vec();
        let body = body.map_err(|error| strange(error.to_string()))?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| strange(error.to_string()));
        }
        match serde_json::from_slice(&body) {
            Ok(Refusal { error }) if status == 401 => {
                Err(ClientError::Unauthorized { address: address(), reason: error })
            }
            Ok(Refusal { error }) => Err(ClientError::Refused(error)),
            Err(_) => Err(strange(format!("it says {status}"))),
        }
    }
}
