//! What the fuzzers call that is for nobody else to call: no part of the interface of this library.

use bson::RawDocument;
use http::{HeaderName, HeaderValue, Method, Request, Uri};

use super::capabilities::{HttpGrant, NamespaceGrant, http as requests, mongodb};

/// Returns the other namespaces that a command of a plugin reads. None: it is refused.
pub fn reads(command: &RawDocument, database: &str) -> Option<Vec<String>> {
    mongodb::reads_of(command, database)
}

/// Returns the head of a request of a plugin, as it would be sent, and the server as it is shown. None: it is refused. The host adds
/// the header `x-secret`.
pub fn request(method: &str, url: &str, headers: &[(&str, &[u8])]) -> Option<(Request<()>, String)> {
    let added = [(HeaderName::from_static("x-secret"), HeaderValue::from_static("secret"))];
    requests::built(method, url, headers, &added)
}

/// Returns whether a request to this URI by this method is granted.
pub fn covers(grant: &HttpGrant, method: &Method, uri: &Uri) -> bool {
    grant.covers(method, uri)
}

/// Returns whether this namespace is granted.
pub fn covers_namespace(grant: &NamespaceGrant, namespace: &str) -> bool {
    grant.covers(namespace)
}
