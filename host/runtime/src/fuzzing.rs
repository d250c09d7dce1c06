//! What the fuzzers call, and nobody else may: not a part of the interface of this library.

#[cfg(feature = "mongodb")]
use bson::RawDocument;
#[cfg(feature = "http")]
use http::{HeaderName, Method, Request, Uri};

#[cfg(feature = "tcp")]
use super::capabilities::TcpGrant;
#[cfg(feature = "http")]
use super::capabilities::{HttpGrant, http as requests};
#[cfg(feature = "mongodb")]
use super::capabilities::{NamespaceGrant, mongodb};

/// Returns the other namespaces that a command of a plugin reads. None: it is refused.
#[cfg(feature = "mongodb")]
pub fn reads(command: &RawDocument, database: &str) -> Option<Vec<String>> {
    mongodb::reads_of(command, database)
}

/// Returns the head of a request of a plugin, as it would be sent, and the server as it is shown. None: it is refused. The host adds
/// the header `x-secret`.
#[cfg(feature = "http")]
pub fn request(method: &str, url: &str, headers: &[(&str, &[u8])]) -> Option<(Request<()>, String)> {
    let added = [HeaderName::from_static("x-secret")];
    requests::built(method, url, headers, &added)
}

/// Returns whether a request to this URI by this method is granted.
#[cfg(feature = "http")]
pub fn covers(grant: &HttpGrant, method: &Method, uri: &Uri) -> bool {
    grant.covers(method, uri)
}

/// Returns whether a connection to this host at this port is granted.
#[cfg(feature = "tcp")]
pub fn covers_connection(grant: &TcpGrant, host: &str, port: u16) -> bool {
    grant.covers(host, port)
}

/// Returns whether this namespace is granted.
#[cfg(feature = "mongodb")]
pub fn covers_namespace(grant: &NamespaceGrant, namespace: &str) -> bool {
    grant.covers(namespace)
}
