//! Sends granted requests.

use std::error::Error as StdError;
use std::io;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::super::addresses::{Prohibited, is_public};
use super::super::host_pattern::address;
use super::connector::Connector;
use super::credentials::CredentialReader;
use super::grant::HttpGrant;
use super::request::{Invalid, collected, whole};
use super::resolver::Resolver;
use super::{Capability, Http};
use crate::Limits;
use crate::load_error::SetupError;

/// The time limit of a connection. It normally takes milliseconds.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The time after which an unused connection is closed. Servers keep theirs for about a minute.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes that a connection reads ahead: the most that the head of a response may have.
const READ_AHEAD_BYTES: usize = 128 * 1024;

/// Sends the requests of one plugin, over connections of its own.
pub(crate) struct HttpClient {
    grants: Arc<[HttpGrant]>,
    /// What the host adds to the requests of each grant.
    additions: Arc<[RequestAdditions]>,
    /// Connections to public addresses, and those that may lead to private addresses, too. They share no connection.
    public: LazyLock<HttpConnections>,
    private: LazyLock<HttpConnections>,
    in_flight: Arc<Semaphore>,
    most_bytes: usize,
    timeout: Duration,
}

type HttpConnections = Client<HttpsConnector<Connector>, Limited<WasiBody>>;

/// What the host adds to the requests of a grant.
struct RequestAdditions {
    headers: Vec<(HeaderName, HeaderValue)>,
    signature: Option<CredentialReader>,
    /// The names of all headers that it sets.
    names: Vec<HeaderName>,
}

/// The permission to send a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permit {
    /// The index of the grant whose headers are added.
    grant: usize,
    /// Whether its server may have a private address.
    private_too: bool,
}

/// Why a request may not be sent.
#[derive(Debug)]
pub(super) enum PermitRefusal {
    /// No grant covers it.
    NotGranted,
    /// A grant covers its server, but not its method or its path.
    Restricted,
    /// A grant covers its server and its method, but its path is ambiguous.
    AmbiguousPath,
    /// The address of its server is not granted.
    Prohibited(Prohibited),
}

/// Why a request was not sent or not answered.
#[derive(Debug)]
pub(super) enum HttpRefusal {
    /// No grant covers it. The sentence, with the remedy.
    NotGranted(String),
    /// The address of its server is not granted.
    Prohibited(Prohibited),
    /// A plugin cannot send such a request.
    Invalid(Invalid),
    /// Sending it, or receiving the response, failed.
    Failed(Error),
}

impl HttpClient {
    pub(crate) fn new(plugin: &str, grants: &[HttpGrant], limits: &Limits) -> Result<Self, SetupError> {
        let grants: Arc<[HttpGrant]> = grants.into();
        let additions = grants.iter().map(|grant| RequestAdditions::new(plugin, grant));
        let additions = additions.collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            grants,
            additions: additions.into(),
            // Made when needed: reading the certificates of the machine takes a while.
            public: LazyLock::new(|| connections(false)),
            private: LazyLock::new(|| connections(true)),
            in_flight: Arc::new(Semaphore::new(limits.http_requests)),
            most_bytes: limits.http_bytes,
            timeout: limits.call_timeout,
        })
    }

    /// Checks whether a request to this URI with this method may be sent.
    pub(super) fn permit(&self, method: &Method, uri: &Uri) -> Result<Permit, PermitRefusal> {
        let covering = || self.grants.iter().enumerate().filter(|(_, grant)| grant.covers(method, uri));
        let is_ambiguous = || self.grants.iter().any(|grant| grant.refuses_path(method, uri));
        let is_server = || self.grants.iter().any(|grant| grant.covers_server(uri));
        let (grant, _) = covering().next().ok_or_else(|| match (is_ambiguous(), is_server()) {
            (true, _) => PermitRefusal::AmbiguousPath,
            (_, true) => PermitRefusal::Restricted,
            _ => PermitRefusal::NotGranted,
        })?;
        let private_too = covering().any(|(_, grant)| grant.allows_private());
        // A name is resolved when the connection is made; an address is checked here.
        let host = uri.host().unwrap_or_default();
        match address(host) {
            Some(address) if !is_public(address) && !private_too => {
                Err(PermitRefusal::Prohibited(Prohibited::Private {
                    host: host.to_owned(),
                    address,
                    grant: Http::NAME,
                }))
            }
            _ => Ok(Permit { grant, private_too }),
        }
    }

    /// Returns the names of the headers that the host sets on a permitted request.
    pub(super) fn added_names(&self, permit: Permit) -> &[HeaderName] {
        self.additions.get(permit.grant).map(|added| added.names.as_slice()).unwrap_or_default()
    }

    /// Returns whether the host signs a permitted request. It keeps the whole body until the request is sent.
    pub(super) fn signs(&self, permit: Permit) -> bool {
        self.signature(permit).is_some()
    }

    fn signature(&self, permit: Permit) -> Option<&CredentialReader> {
        self.additions.get(permit.grant)?.signature.as_ref()
    }

    /// Sends a permitted request.
    pub(super) async fn send(
        &self,
        mut request: Request<WasiBody>,
        permit: Permit,
        options: Option<RequestOptions>,
    ) -> Result<Response<WasiBody>, HttpRefusal> {
        let added = self.additions.get(permit.grant).map(|added| added.headers.as_slice());
        for (name, value) in added.unwrap_or_default() {
            let added = request.headers_mut().try_insert(name.clone(), value.clone());
            added.map_err(|_| HttpRefusal::Invalid(Invalid::ManyHeaders))?;
        }
        let most = self.most_bytes;
        let first_byte = options.and_then(|options| options.first_byte_timeout).unwrap_or(self.timeout);
        let sending = async {
            let under_way = Arc::clone(&self.in_flight).acquire_owned().await.ok();
            let connections = if permit.private_too { &self.private } else { &self.public };
            let request = match self.signature(permit) {
                Some(signature) => signed(request, signature, most).await?,
                None => request,
            };
            let request = request.map(|body| Limited::new(body, most));
            Ok::<_, HttpRefusal>((under_way, connections.request(request).await))
        };
        let sent = tokio::time::timeout(first_byte.min(self.timeout), sending).await;
        let (under_way, response) = sent.map_err(|_| HttpRefusal::Failed(Error::HttpResponseTimeout))??;
        let response = response.map_err(|error| refused(&error, most))?;
        Ok(response.map(|body| bounded(body, most, under_way)))
    }
}

fn connections(private_too: bool) -> HttpConnections {
    let mut connector = HttpConnector::new_with_resolver(Resolver { private_too });
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_nodelay(true);
    let connector = Connector(connector);
    let connector = match HttpsConnectorBuilder::new().with_native_roots() {
        Ok(roots) => roots.https_or_http().enable_http1().wrap_connector(connector),
        // A container may have no certificates; these are Mozilla's.
        Err(_) => HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector),
    };
    Client::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .http1_max_buf_size(READ_AHEAD_BYTES)
        .build(connector)
}

/// Limits the size of a body. The request counts as in progress until the body is dropped.
fn bounded(body: Incoming, most: usize, permit: Option<OwnedSemaphorePermit>) -> WasiBody {
    let body = Limited::new(body, most).map_err(move |error| {
        let _under_way = &permit;
        match error.downcast::<hyper::Error>() {
            Ok(error) => Error::Hyper(*error),
            Err(_) => Error::HttpResponseBodySize(u64::try_from(most).ok()),
        }
    });
    body.boxed_unsync()
}

/// Signs a request. The signature covers the body, so that this waits for all of it.
async fn signed(
    request: Request<WasiBody>,
    credentials: &CredentialReader,
    most: usize,
) -> Result<Request<WasiBody>, HttpRefusal> {
    let (mut parts, body) = request.into_parts();
    let body = collected(body, most).await.map_err(HttpRefusal::Failed)?;
    let current = credentials.read().await;
    let current =
        current.map_err(|error| HttpRefusal::Failed(Error::InternalError(Some(error.to_string()))))?;
    // A server accepts a signature for some minutes only.
    let signed = credentials.signature().sign(&current, &mut parts, &body, SystemTime::now());
    signed.map_err(HttpRefusal::Invalid)?;
    Ok(Request::from_parts(parts, whole(body)))
}

impl RequestAdditions {
    fn new(plugin: &str, grant: &HttpGrant) -> Result<Self, SetupError> {
        let signature = grant.aws_sigv4.clone();
        let signature = signature.map(|signature| CredentialReader::new(plugin, grant, signature));
        signature.as_ref().map(CredentialReader::check).transpose()?;
        Ok(Self { headers: headers(plugin, grant)?, signature, names: grant.added_names().collect() })
    }
}

fn headers(plugin: &str, grant: &HttpGrant) -> Result<Vec<(HeaderName, HeaderValue)>, SetupError> {
    let header = |(name, secret): &(HeaderName, crate::secret::Secret)| {
        let value = secret.read().map_err(|reason| SetupError::Secret {
            plugin: plugin.to_owned(),
            what: format!("the header {name} for {grant}"),
            reason,
        })?;
        let mut value = HeaderValue::from_str(&value).map_err(|_| SetupError::Header {
            plugin: plugin.to_owned(),
            header: name.to_string(),
            server: grant.to_string(),
        })?;
        value.set_sensitive(true);
        Ok((name.clone(), value))
    };
    grant.headers.iter().map(header).collect()
}

/// Converts an error of the client by its causes.
fn refused(error: &hyper_util::client::legacy::Error, most: usize) -> HttpRefusal {
    let mut causes: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(cause) = causes {
        causes = cause.source();
        let io = cause.downcast_ref::<io::Error>();
        // A refusal by the resolver is wrapped in an I/O error.
        let within = || io.and_then(|io| io.get_ref()?.downcast_ref::<Prohibited>());
        if let Some(prohibited) = cause.downcast_ref::<Prohibited>().or_else(within) {
            return HttpRefusal::Prohibited(prohibited.clone());
        }
        if let Some(io) = io {
            return HttpRefusal::Failed(match io.kind() {
                io::ErrorKind::TimedOut => Error::ConnectionTimeout,
                io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
                _ => Error::InternalError(Some(io.to_string())),
            });
        }
        if cause.is::<LengthLimitError>() {
            return HttpRefusal::Failed(Error::HttpRequestBodySize(u64::try_from(most).ok()));
        }
    }
    HttpRefusal::Failed(Error::InternalError(Some(words(error))))
}

/// Returns an error with its causes.
pub(super) fn words(error: &dyn StdError) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}
