//! TLS with servers, by the same library and with the same certificates as HTTP.

use std::io;
use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream};

use super::tls_stream::PlainStream;

/// Makes connections of TLS.
pub(super) struct TlsClient(Arc<ClientConfig>);

impl TlsClient {
    pub(super) fn new() -> Self {
        let config = match ClientConfig::builder().with_native_roots() {
            Ok(roots) => roots.with_no_client_auth(),
            // A container may have no certificates; these are Mozilla's.
            Err(_) => ClientConfig::builder().with_webpki_roots().with_no_client_auth(),
        };
        Self(Arc::new(config))
    }

    /// Speaks TLS over the streams of a connection to this server, whose certificate must be of its name.
    pub(super) async fn connect(
        &self,
        host: &str,
        input: DynInputStream,
        output: DynOutputStream,
    ) -> io::Result<TlsStream<PlainStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(Arc::clone(&self.0)).connect(name, PlainStream { input, output }).await
    }
}
