//! The client of the API, which blocks: the commands wait for nothing else.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gtm_delivery::{HostStatus, Swapped};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::config::Config;
use ureq::http::Response;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::{Agent, Body, Error};

use super::find::find;
use super::transport::{OtherUser, SocketConnector};
use super::{AdminAddress, token};

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
    /// As it is said to people.
    address: String,
    /// As it is in URLs.
    authority: String,
    token: Option<String>,
}

/// Why a host does not answer, or does not do what it is told.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error(
        "no host answers on {address}: {reason}. help: pass the address that the host was started with to --admin"
    )]
    Unreachable {
        /// Where.
        address: String,
        /// What the system says.
        reason: Box<Error>,
    },
    /// Another user's program listens.
    #[error(
        "the socket {address} is of the user with the number {user}, so what answers there is not believed. help: run this as that \
         user, or check the path"
    )]
    OtherUser {
        /// Where.
        address: String,
        /// The user.
        user: u32,
    },
    /// No socket of this user's hosts answers.
    #[error("{}", no_host(name.as_deref(), directories))]
    NoHost {
        /// The pipeline that is meant, if one is.
        name: Option<String>,
        /// Where the sockets would be.
        directories: Vec<PathBuf>,
    },
    /// Several answer.
    #[error(
        "several hosts run here: {hosts}. help: choose one with --name NAME, or with --admin and the path of its socket"
    )]
    WhichHost {
        /// Those that there are.
        hosts: String,
    },
    /// It is said that there is none.
    #[error("the admin API is off. help: pass --admin HOST:PORT, or the path of a socket")]
    Off,
    /// The host refuses.
    #[error("{0}")]
    Refused(String),
    /// The token is wrong, or there is none.
    #[error(
        "the host on {address} refuses this: {reason}. help: pass its token with --admin-token-file or GTM_ADMIN_TOKEN, or leave \
         --admin out where the host is yours and runs on this machine"
    )]
    Unauthorized {
        /// Where.
        address: String,
        /// What it says.
        reason: String,
    },
    /// Something else listens there.
    #[error("what answers on {address} is not a gtm-host of this version: {reason}")]
    Strange {
        /// Where.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// The token cannot be one.
    #[error(transparent)]
    Token(#[from] super::AdminError),
}

fn no_host(name: Option<&str>, directories: &[PathBuf]) -> String {
    let named = name.map(|name| format!(" of the name {name}")).unwrap_or_default();
    let searched: Vec<_> = directories.iter().map(|directory| directory.display().to_string()).collect();
    format!(
        "no host{named} of this user runs here: none answers in {}. help: pass the name of the pipeline with --name, run this as the \
         user of the host, or pass --admin HOST:PORT or the path of its socket",
        searched.join(", ")
    )
}

#[derive(Deserialize)]
struct RefusedAnswer {
    error: String,
}

fn config(answer: Duration) -> Config {
    Agent::config_builder()
        .http_status_as_error(false)
        // What is on this machine, or in this network, is not behind a proxy.
        .proxy(None)
        .max_redirects(0)
        .timeout_connect(Some(CONNECT))
        .timeout_global(Some(answer))
        .build()
}

/// Who was told something.
#[derive(Deserialize)]
struct ToldPlugin {
    plugins: Vec<String>,
}

impl AdminClient {
    /// For the host that listens at this address, and wants this token. None: the one that it made, if it is this user's and on this
    /// machine.
    ///
    /// # Errors
    /// The token cannot be one, or there is no address.
    pub fn new(address: &AdminAddress, token: Option<&str>) -> Result<Self, ClientError> {
        super::check_token(token)?;
        match address {
            AdminAddress::Socket(path) => Ok(Self::at_socket(path, ANSWER)),
            AdminAddress::Tcp(address) => {
                let address = address.reachable();
                let token = token.map(str::to_owned).or_else(|| token::find(&address));
                let (agent, address) = (Agent::new_with_config(config(ANSWER)), address.to_string());
                Ok(Self { agent, authority: address.clone(), address, token })
            }
            AdminAddress::None => Err(ClientError::Off),
        }
    }

    /// For the host of this user that works on this pipeline; without a name, for the only one there is.
    ///
    /// # Errors
    /// None answers, or it is not known which is meant.
    pub fn of_pipeline(pipeline: Option<&str>) -> Result<Self, ClientError> {
        find(pipeline).map(|path| Self::at_socket(&path, ANSWER))
    }

    /// `answer`: how long one is waited for.
    pub(super) fn at_socket(path: &Path, answer: Duration) -> Self {
        let connector = SocketConnector(path.to_owned());
        let agent = Agent::with_parts(config(answer), connector, DefaultResolver::default());
        // The name is not looked up by anybody.
        Self { agent, address: path.display().to_string(), authority: "127.0.0.1".to_owned(), token: None }
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

    /// Tells a plugin, or the only one, to go on from there: a [`StartAt`](gtm_source::StartAt), as text.
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
        self.post(what, &[("plugin", plugin), ("to", to)]).map(|ToldPlugin { plugins }| plugins)
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
        format!("http://{}/{path}", self.authority)
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
        let mut answer = answer.map_err(|reason| {
            let other = match &reason {
                Error::Other(other) => other.downcast_ref::<OtherUser>(),
                _ => None,
            };
            match other {
                Some(OtherUser(user)) => ClientError::OtherUser { address: address(), user: *user },
                None => ClientError::Unreachable { address: address(), reason: Box::new(reason) },
            }
        })?;
        let strange = |reason: String| ClientError::Strange { address: address(), reason };
        let status = answer.status();
        let body = answer.body_mut().with_config().limit(LONGEST).read_to_vec();
        let body = body.map_err(|error| strange(error.to_string()))?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| strange(error.to_string()));
        }
        match serde_json::from_slice(&body) {
            Ok(RefusedAnswer { error }) if status == 401 => {
                Err(ClientError::Unauthorized { address: address(), reason: error })
            }
            Ok(RefusedAnswer { error }) => Err(ClientError::Refused(error)),
            Err(_) => Err(strange(format!("it says {status}"))),
        }
    }
}
