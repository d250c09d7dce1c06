//! Connects to a server, unless it is this host.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::super::addresses::Prohibited;
use super::resolver::Resolver;
use crate::listening::is_own;

/// Checks where a connection leads before anything is sent on it. That covers names, addresses and routes.
#[derive(Clone, Debug)]
pub(super) struct Connector(pub(super) HttpConnector<Resolver>);

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = Box<dyn StdError + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let host = uri.host().unwrap_or_default().to_owned();
        let connecting = self.0.call(uri);
        Box::pin(async move {
            let connected = connecting.await?;
            let (local, peer) = (connected.inner().local_addr()?, connected.inner().peer_addr()?);
            if is_own(local, peer) {
                return Err(Prohibited::Own { host, address: peer }.into());
            }
            Ok(connected)
        })
    }
}
