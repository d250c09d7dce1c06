//! `wasi:sockets` for connections to granted servers: plain TCP, or TLS that the host speaks.
//!
//! The functions are those of wasmtime-wasi, with checks before and after them. A plugin resolves the names of granted servers only, and
//! connects only to addresses that such a name had in the same instance, or that are granted themselves. It cannot listen. A connection
//! may outlive the call in which it was made, and ends with its instance.

mod destination;
mod grant;
mod lookup;
mod socket;
mod tls;
mod tls_stream;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

pub use grant::{InvalidTcpGrant, TcpGrant};
use tokio::sync::Semaphore;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::sockets::SocketAddrUse;

use self::destination::ResolvedNames;
use self::lookup::MAX_LOOKUPS;
use self::socket::HeldSocket;
use self::tls::TlsClient;
use super::{Capability, GrantedCapability, Linking, ListedCapability};
use crate::Limits;
use crate::load_error::SetupError;
use crate::setup::Setup;
use crate::state::{CallContext, InstanceState, not_granted};

/// The capability, for `handle` only.
pub(crate) struct Tcp;

/// What is prepared of the grants of a plugin.
pub(crate) struct TcpClient {
    grants: Vec<TcpGrant>,
    /// Made when needed: reading the certificates of the machine takes a while.
    tls: LazyLock<TlsClient>,
    /// Limits the look-ups of names: each takes a thread until it ends, whether the plugin waits for it or not.
    lookups: Arc<Semaphore>,
}

/// The state of an instance for its connections.
#[derive(Default)]
pub(crate) struct TcpContext {
    resolved: ResolvedNames,
    /// The sockets that it holds, by their index in the table of resources.
    sockets: HashMap<u32, HeldSocket>,
}

impl Capability for Tcp {
    const NAME: &'static str = "tcp";
    const IMPORTS: &'static [&'static str] = &[];
    const MAYBE_IMPORTS: &'static [&'static str] = &["wasi:sockets/tcp"];

    fn link(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
        let linker = &mut linking.linker;
        linker.allow_shadowing(true);
        lookup::link(linker)?;
        socket::link(linker)?;
        linker.allow_shadowing(false);
        Ok(())
    }

    /// Links nothing: the WASI context of a filter allows no sockets.
    fn link_in_filter(_: &mut Linking<'_>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl GrantedCapability for Tcp {
    type Grant = Vec<TcpGrant>;
    type Prepared = TcpClient;
    type Shared = ();
    type Instance = TcpContext;

    const FORMS: &'static [&'static str] =
        &["tcp=HOST:PORT", "tcp-private=HOST:PORT", "tls=HOST:PORT", "tls-private=HOST:PORT"];
    const PROPOSED: &'static [&'static str] = &["tcp=HOST:PORT"];

    fn parse(name: &str, value: Option<&str>) -> Option<Result<Vec<TcpGrant>, String>> {
        let (tls, private) = match name {
            "tcp" => (false, false),
            "tcp-private" => (false, true),
            "tls" => (true, false),
            "tls-private" => (true, true),
            _ => return None,
        };
        let parsed = value?.parse::<TcpGrant>();
        Some(parsed.map(|grant| vec![TcpGrant { tls, private, ..grant }]).map_err(|error| error.to_string()))
    }

    fn merge(granted: &mut Vec<TcpGrant>, more: Vec<TcpGrant>) {
        granted.extend(more);
    }

    fn everything() -> Vec<TcpGrant> {
        vec![TcpGrant::anything()]
    }

    fn describe(granted: &Vec<TcpGrant>) -> String {
        granted.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    fn prepare(_: &str, granted: &Vec<TcpGrant>, _: &Limits) -> Result<TcpClient, SetupError> {
        Ok(TcpClient {
            grants: granted.clone(),
            tls: LazyLock::new(TlsClient::new),
            lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)),
        })
    }

    fn instance(_: &CallContext) -> TcpContext {
        TcpContext::default()
    }

    /// Allows connections, which are checked before they start: see [`socket`]. Names are resolved by [`lookup`].
    fn open(setup: &Setup, wasi: &mut WasiCtxBuilder) -> wasmtime::Result<()> {
        if !setup.grants.tcp.is_empty() {
            wasi.allow_tcp(true).socket_addr_check(|address, usage| {
                let is_implicit = address.ip().is_unspecified() && address.port() == 0;
                let is_allowed = match usage {
                    SocketAddrUse::TcpConnect => true,
                    // Before a connection, without a call of the plugin.
                    SocketAddrUse::TcpBind => is_implicit,
                    _ => false,
                };
                Box::pin(async move { is_allowed })
            });
        }
        Ok(())
    }
}

impl InstanceState {
    /// Records that a server is not granted. Nothing is recorded before the first op, when nothing is allowed.
    fn refuse_tcp(&self, host: &str, port: Option<u16>) {
        let call = &self.call;
        if call.op.is_empty() {
            return;
        }
        let bare =
            host.parse::<std::net::Ipv6Addr>().map_or(host.to_owned(), |address| format!("[{address}]"));
        let (what, server) = match port {
            Some(port) => (format!("tcp to {bare}:{port}"), format!("{bare}:{port}")),
            None => (format!("tcp to {bare}"), format!("{bare}:PORT")),
        };
        let sentence =
            not_granted(&call.setup.name, &what, &format!("tcp={server}"), &format!("tcp = [\"{server}\"]"));
        let part = (!call.setup.grants.tcp.is_empty()).then_some(Tcp::ID);
        call.notes.blocked(sentence, part);
    }
}
