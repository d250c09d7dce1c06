//! `wasi:sockets/ip-name-lookup` for the names of granted servers.

use std::future::{Future, poll_fn};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddress};
use wasmtime_wasi::p2::{DynPollable, Network, Pollable, subscribe};

use super::super::host_pattern::{address, canonical, is_name};
use super::{Tcp, TcpClient};
use crate::capabilities::ListedCapability;
use crate::state::InstanceState;

/// Look-ups of a plugin at the same time.
pub(super) const MAX_LOOKUPS: usize = 4;
/// Bytes of a name (RFC 1035).
const MAX_NAME_BYTES: usize = 253;

const INTERFACE: &str = "wasi:sockets/ip-name-lookup@0.2.12";

type FoundAddresses = Result<std::vec::IntoIter<IpAddr>, ErrorCode>;

/// The addresses of a name, or the way to them.
struct NameLookup {
    name: Arc<str>,
    state: NameLookupState,
}

enum NameLookupState {
    Waiting(Pin<Box<dyn Future<Output = FoundAddresses> + Send>>),
    Found(FoundAddresses),
}

impl NameLookup {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<&mut FoundAddresses> {
        if let NameLookupState::Waiting(waiting) = &mut self.state {
            match waiting.as_mut().poll(cx) {
                Poll::Ready(found) => self.state = NameLookupState::Found(found),
                Poll::Pending => return Poll::Pending,
            }
        }
        match &mut self.state {
            NameLookupState::Found(found) => Poll::Ready(found),
            NameLookupState::Waiting(_) => Poll::Pending,
        }
    }
}

#[async_trait::async_trait]
impl Pollable for NameLookup {
    async fn ready(&mut self) {
        poll_fn(|cx| self.poll(cx).map(drop)).await;
    }
}

/// Links the functions, in place of those that resolve any name.
pub(super) fn link(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(INTERFACE)?;
    interface.resource("resolve-address-stream", ResourceType::host::<NameLookup>(), |mut store, rep| {
        store.data_mut().table.delete(Resource::<NameLookup>::new_own(rep))?;
        Ok(())
    })?;
    interface.func_wrap("resolve-addresses", |mut store, (_, name): (Resource<Network>, String)| {
        Ok((resolve(&mut store, &name)?,))
    })?;
    interface.func_wrap(
        "[method]resolve-address-stream.resolve-next-address",
        |mut store, (lookup,): (Resource<NameLookup>,)| Ok((next(&mut store, &lookup)?,)),
    )?;
    interface.func_wrap(
        "[method]resolve-address-stream.subscribe",
        |mut store: StoreContextMut<'_, InstanceState>, (lookup,): (Resource<NameLookup>,)| {
            let pollable: Resource<DynPollable> = subscribe(store.data_mut().ctx().table, lookup)?;
            Ok((pollable,))
        },
    )
}

fn resolve(
    store: &mut StoreContextMut<'_, InstanceState>,
    name: &str,
) -> wasmtime::Result<Result<Resource<NameLookup>, ErrorCode>> {
    let state = store.data_mut();
    // Before the first op, nothing is allowed.
    if state.call.op.is_empty() {
        return Ok(Err(ErrorCode::AccessDenied));
    }
    let name = canonical(name);
    let found = match address(&name) {
        // The connection is checked.
        Some(address) => NameLookupState::Found(Ok(vec![address].into_iter())),
        None if name.len() > MAX_NAME_BYTES || !is_name(&name) => return Ok(Err(ErrorCode::InvalidArgument)),
        None if !state.call.setup.prepared.tcp.names(&name) => {
            state.refuse_tcp(&name, None);
            return Ok(Err(ErrorCode::AccessDenied));
        }
        None if state.call.recorder().is_some() => {
            let made_up = state.contexts.tcp.resolved.make_up(&name.as_str().into());
            NameLookupState::Found(Ok(vec![made_up].into_iter()))
        }
        None => NameLookupState::Waiting(Box::pin(look_up(state, name.clone()))),
    };
    Ok(Ok(state.table.push(NameLookup { name: name.into(), state: found })?))
}

/// Returns the addresses that the plugin may reach of those that the name has.
fn look_up(state: &InstanceState, name: String) -> impl Future<Output = FoundAddresses> + Send + use<> {
    let (setup, notes) = (Arc::clone(&state.call.setup), state.call.notes.clone());
    async move {
        let client = &setup.prepared.tcp;
        let looked_up = tokio::time::timeout(setup.limits.call_timeout, addresses(client, &name)).await;
        let addresses = match looked_up {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(_)) => return Err(ErrorCode::NameUnresolvable),
            Err(_) => return Err(ErrorCode::TemporaryResolverFailure),
        };
        let (allowed, others): (Vec<_>, Vec<_>) =
            addresses.into_iter().partition(|address| client.allows(&name, *address));
        match others.first() {
            Some(address) if allowed.is_empty() => {
                let prohibited = client.prohibited(&name, *address);
                notes.blocked(format!("no connection is made: {prohibited}"), Some(Tcp::ID));
                Err(ErrorCode::AccessDenied)
            }
            _ => Ok(allowed.into_iter()),
        }
    }
}

/// Resolves a name. A look-up that nobody waits for any more still counts, as its thread cannot be stopped.
async fn addresses(client: &TcpClient, name: &str) -> io::Result<Vec<IpAddr>> {
    let permit = Arc::clone(&client.lookups).acquire_owned().await.map_err(io::Error::other)?;
    let name = name.to_owned();
    let looking_up = tokio::spawn(async move {
        let found = tokio::net::lookup_host((name.as_str(), 0)).await;
        drop(permit);
        found.map(|addresses| addresses.map(|address| address.ip().to_canonical()).collect())
    });
    looking_up.await.map_err(io::Error::other)?
}

fn next(
    store: &mut StoreContextMut<'_, InstanceState>,
    lookup: &Resource<NameLookup>,
) -> wasmtime::Result<Result<Option<IpAddress>, ErrorCode>> {
    let state = store.data_mut();
    let lookup = state.table.get_mut(lookup)?;
    let Poll::Ready(found) = lookup.poll(&mut Context::from_waker(Waker::noop())) else {
        return Ok(Err(ErrorCode::WouldBlock));
    };
    Ok(match found {
        Ok(addresses) => {
            let next = addresses.next();
            let is_looked_up = address(&lookup.name).is_none() && state.call.recorder().is_none();
            if let Some(address) = next.filter(|_| is_looked_up) {
                state.contexts.tcp.resolved.add(&lookup.name, address);
            }
            Ok(next.map(IpAddress::from))
        }
        Err(code) => Err(*code),
    })
}
