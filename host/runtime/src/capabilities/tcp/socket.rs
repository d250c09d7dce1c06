//! `wasi:sockets/tcp` for connections to granted servers, with limits.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, LinkerInstance, Resource, ResourceType};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, Host as _, IpAddressFamily, IpSocketAddress};
use wasmtime_wasi::p2::bindings::sockets::tcp::{HostTcpSocket, ShutdownType};
use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket::Host as _;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, Network, SocketResult, TcpSocket};
use wasmtime_wasi::sockets::WasiSocketsView;

use super::super::addresses::Prohibited;
use super::Tcp;
use super::destination::{Destination, destination};
use super::tls_stream::TlsEnd;
use crate::budget::Charge;
use crate::capabilities::{Capability, ListedCapability};
use crate::listening::is_own;
use crate::state::{InstanceState, not_granted};

/// The time limit of a TLS handshake. It normally takes milliseconds.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes that are charged for a socket: what the host keeps of a write until the kernel takes it, and as much for a read.
const SOCKET_BYTES: usize = 128 * 1024;
/// Bytes that are charged for TLS in addition: what is read ahead, not sent yet, and buffered by the library in each direction.
const TLS_BYTES: usize = 256 * 1024;

/// What the host knows of a socket of an instance.
pub(super) struct HeldSocket {
    destination: Option<Destination>,
    tls: Option<TlsEnd>,
    charge: Charge,
}

type Store<'a> = StoreContextMut<'a, InstanceState>;
type Streams = (Resource<DynInputStream>, Resource<DynOutputStream>);

/// Links the functions in front of those that connect to any server.
pub(super) fn link(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    let mut create = linker.instance("wasi:sockets/tcp-create-socket@0.2.12")?;
    create.func_wrap("create-tcp-socket", |store, (family,): (IpAddressFamily,)| {
        Ok((create_socket(store, family)?,))
    })?;
    let mut tcp = linker.instance("wasi:sockets/tcp@0.2.12")?;
    tcp.resource("tcp-socket", ResourceType::host::<TcpSocket>(), |mut store: Store<'_>, rep| {
        HostTcpSocket::drop(&mut store.data_mut().sockets(), Resource::new_own(rep))?;
        store.data_mut().contexts.tcp.sockets.remove(&rep);
        Ok(())
    })?;
    tcp.func_wrap(
        "[method]tcp-socket.start-connect",
        |mut store, (socket, network, address): (Resource<TcpSocket>, Resource<Network>, IpSocketAddress)| {
            Ok((start_connect(store.data_mut(), socket, network, address)?,))
        },
    )?;
    tcp.func_wrap_async("[method]tcp-socket.finish-connect", |store, (socket,): (Resource<TcpSocket>,)| {
        Box::new(async move { Ok((finish_connect(store, socket.rep()).await?,)) })
    })?;
    tcp.func_wrap(
        "[method]tcp-socket.shutdown",
        |mut store, (socket, kind): (Resource<TcpSocket>, ShutdownType)| {
            Ok((shut_down(store.data_mut(), socket, kind)?,))
        },
    )?;
    refuse_listening(&mut tcp)
}

/// Plugins do not serve connections, and need no address of their own to connect.
fn refuse_listening(tcp: &mut LinkerInstance<'_, InstanceState>) -> wasmtime::Result<()> {
    const REFUSED: Result<(), ErrorCode> = Err(ErrorCode::AccessDenied);
    tcp.func_wrap(
        "[method]tcp-socket.start-bind",
        |_, _: (Resource<TcpSocket>, Resource<Network>, IpSocketAddress)| Ok((REFUSED,)),
    )?;
    tcp.func_wrap("[method]tcp-socket.start-listen", |_, _: (Resource<TcpSocket>,)| Ok((REFUSED,)))
}

/// Converts the outcome of a function of wasmtime-wasi. An error without an error code ends the instance.
fn outcome<T>(state: &mut InstanceState, called: SocketResult<T>) -> wasmtime::Result<Result<T, ErrorCode>> {
    match called {
        Ok(value) => Ok(Ok(value)),
        Err(error) => state.sockets().convert_error_code(error).map(Err),
    }
}

fn create_socket(
    mut store: Store<'_>,
    family: IpAddressFamily,
) -> wasmtime::Result<Result<Resource<TcpSocket>, ErrorCode>> {
    let state = store.data_mut();
    let call = &state.call;
    if call.op.is_empty() {
        return Ok(Err(ErrorCode::AccessDenied));
    }
    if call.setup.grants.tcp.is_empty() {
        let sentence = not_granted(&call.setup.name, "tcp", "tcp=HOST:PORT", "tcp = [\"HOST:PORT\"]");
        call.notes.blocked(sentence, None);
        return Ok(Err(ErrorCode::AccessDenied));
    }
    let most = call.setup.limits.tcp_sockets;
    if state.contexts.tcp.sockets.len() >= most {
        let raise = call.setup.raise(&["tcp_sockets"]);
        failed(state, None, &format!("the instance holds {most} sockets, the maximum{raise}"));
        return Ok(Err(ErrorCode::NewSocketLimit));
    }
    let charge = call.budget.charge(SOCKET_BYTES)?;
    let created = state.sockets().create_tcp_socket(family);
    let created = outcome(state, created)?;
    if let Ok(socket) = &created {
        let held = HeldSocket { destination: None, tls: None, charge };
        state.contexts.tcp.sockets.insert(socket.rep(), held);
    }
    Ok(created)
}

fn start_connect(
    state: &mut InstanceState,
    socket: Resource<TcpSocket>,
    network: Resource<Network>,
    address: IpSocketAddress,
) -> wasmtime::Result<Result<(), ErrorCode>> {
    if state.call.op.is_empty() {
        return Ok(Err(ErrorCode::AccessDenied));
    }
    let Some(destination) = destination(state, SocketAddr::from(address)) else {
        return Ok(Err(ErrorCode::AccessDenied));
    };
    let effect = || json!({ "connect": destination.server(), "tls": destination.tls, "answered": "refused" });
    if state.call.record(Tcp::NAME, effect) {
        state.call.notes.made_up();
        return Ok(Err(ErrorCode::AccessDenied));
    }
    let rep = socket.rep();
    let started = state.sockets().start_connect(socket, network, address);
    let started = outcome(state, started)?;
    if let Some(held) = state.contexts.tcp.sockets.get_mut(&rep).filter(|_| started.is_ok()) {
        held.destination = Some(destination);
    }
    Ok(started)
}

/// Returns the streams of a connection once it is made. With TLS, it waits for the handshake, within a limit.
async fn finish_connect(mut store: Store<'_>, rep: u32) -> wasmtime::Result<Result<Streams, ErrorCode>> {
    let state = store.data_mut();
    let connected = state.sockets().finish_connect(Resource::new_borrow(rep));
    let streams = match outcome(state, connected)? {
        Ok(streams) => streams,
        Err(code @ (ErrorCode::WouldBlock | ErrorCode::NotInProgress)) => return Ok(Err(code)),
        Err(code) => {
            state.call.shared.usage.connection(false);
            let destination = destination_of(state, rep);
            failed(state, destination.as_ref(), code.message());
            return Ok(Err(code));
        }
    };
    let Some(destination) = destination_of(state, rep) else {
        return close(state, streams).map(|()| Err(ErrorCode::AccessDenied));
    };
    if let Some(peer) = own_address(state, rep) {
        close(state, streams)?;
        let prohibited = Prohibited::Own { host: destination.server(), address: peer };
        state.call.notes.blocked(format!("no connection is made: {prohibited}"), Some(Tcp::ID));
        return Ok(Err(ErrorCode::AccessDenied));
    }
    let streams = match destination.tls {
        false => Ok(streams),
        true => encrypt(&mut store, rep, streams, &destination).await?,
    };
    let state = store.data_mut();
    state.call.shared.usage.connection(streams.is_ok());
    if streams.is_ok() {
        tracing::debug!(
            event = "tcp.connect",
            plugin = &*state.call.setup.name,
            op = state.call.op,
            server = destination.server(),
            tls = destination.tls,
            "connected"
        );
    }
    Ok(streams)
}

/// Replaces the streams of a connection by those inside of TLS.
async fn encrypt(
    store: &mut Store<'_>,
    rep: u32,
    (input, output): Streams,
    destination: &Destination,
) -> wasmtime::Result<Result<Streams, ErrorCode>> {
    let state = store.data_mut();
    let (input, output) = (state.table.delete(input)?, state.table.delete(output)?);
    let Some(held) = state.contexts.tcp.sockets.get_mut(&rep) else {
        return Ok(Err(ErrorCode::InvalidState));
    };
    held.charge.add(TLS_BYTES)?;
    let setup = std::sync::Arc::clone(&state.call.setup);
    let limit = HANDSHAKE_TIMEOUT.min(setup.limits.call_timeout);
    let handshake = setup.prepared.tcp.tls.connect(&destination.host, input, output);
    let connection = match tokio::time::timeout(limit, handshake).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(reason)) => {
            failed(store.data(), Some(destination), &format!("TLS: {reason}"));
            return Ok(Err(ErrorCode::ConnectionAborted));
        }
        Err(_) => {
            failed(store.data(), Some(destination), "the TLS handshake took too long");
            return Ok(Err(ErrorCode::Timeout));
        }
    };
    let state = store.data_mut();
    let (end, input, output) = TlsEnd::open(connection);
    if let Some(held) = state.contexts.tcp.sockets.get_mut(&rep) {
        held.tls = Some(end);
    }
    let socket = Resource::<TcpSocket>::new_borrow(rep);
    let (input, output): (DynInputStream, DynOutputStream) = (Box::new(input), Box::new(output));
    Ok(Ok((state.table.push_child(input, &socket)?, state.table.push_child(output, &socket)?)))
}

fn shut_down(
    state: &mut InstanceState,
    socket: Resource<TcpSocket>,
    kind: ShutdownType,
) -> wasmtime::Result<Result<(), ErrorCode>> {
    let tls = state.contexts.tcp.sockets.get(&socket.rep()).and_then(|held| held.tls.as_ref());
    match (tls, kind) {
        (Some(tls), ShutdownType::Send | ShutdownType::Both) => tls.close(),
        // What arrives after that is dropped with the socket.
        (Some(_), ShutdownType::Receive) => {}
        (None, kind) => {
            let shut_down = state.sockets().shutdown(socket, kind);
            return outcome(state, shut_down);
        }
    }
    Ok(Ok(()))
}

fn destination_of(state: &InstanceState, rep: u32) -> Option<Destination> {
    state.contexts.tcp.sockets.get(&rep)?.destination.clone()
}

/// Returns the address of the peer of a connection if it is this host.
fn own_address(state: &mut InstanceState, rep: u32) -> Option<SocketAddr> {
    let mut sockets = state.sockets();
    let local = sockets.local_address(Resource::new_borrow(rep)).ok().map(SocketAddr::from)?;
    let peer = sockets.remote_address(Resource::new_borrow(rep)).ok().map(SocketAddr::from)?;
    is_own(local, peer).then_some(peer)
}

fn close(state: &mut InstanceState, (input, output): Streams) -> wasmtime::Result<()> {
    state.table.delete(input)?;
    state.table.delete(output)?;
    Ok(())
}

fn failed(state: &InstanceState, destination: Option<&Destination>, reason: &str) {
    tracing::debug!(
        event = "tcp.connect_failed",
        plugin = &*state.call.setup.name,
        op = state.call.op,
        server = destination.map(Destination::server),
        error = reason,
        "no connection was made"
    );
}
