//! Resolves the name of a server to the addresses that a plugin may reach.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

use super::super::addresses::{Prohibited, is_public};
use super::{Capability, Http};

/// Resolves the names of servers to their granted addresses. The connection is made to one of these, so a later change of the name has no
/// effect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resolver {
    pub(super) private_too: bool,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self { private_too } = *self;
        Box::pin(async move {
            let addresses: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let (granted, others): (Vec<_>, Vec<_>) =
                addresses.into_iter().partition(|address| private_too || is_public(address.ip()));
            match others.first() {
                Some(address) if granted.is_empty() => {
                    let (host, address) = (name.as_str().to_owned(), address.ip());
                    Err(io::Error::new(
                        io::ErrorKind::PermissionDenied,
                        Prohibited::Private { host, address, grant: Http::NAME },
                    ))
                }
                _ => Ok(granted.into_iter()),
            }
        })
    }
}
