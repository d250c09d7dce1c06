//! Why a plugin cannot be loaded: one sentence each, with the remedy.

use std::path::PathBuf;

use gtm_oplog::PatternError;
use semver::Version;

use super::call::CallError;
use super::contract::CONTRACT;
use super::digest::ComponentDigest;
use super::engine::Uncached;
use super::handle::SwapError;
use super::limits::{EXPRESSIONS, FILE, PATTERN, SUBSCRIPTIONS};
use super::pool::PoolFull;
use crate::secret::NoSecret;

/// Why a plugin cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum LoadError {
    #[error(
        "the plugin {} does not exist. Is the path right, and was it built (cargo build --release --target wasm32-wasip2)?", path.display()
    )]
    Missing { path: PathBuf },
    #[error("the plugin {} cannot be read: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: std::io::Error },
    #[error("the plugin {} is not a regular file. help: name the .wasm file that the build made", path.display())]
    NoFile { path: PathBuf },
    #[error(
        "the plugin {} cannot be read: it is not there, is not a regular file, gtm-host may not read it, or swaps may not take files from \
         its directory. help: check the path, as the host sees it, and the permissions, or start the host with --admin-swap-from DIR; the \
         event of gtm_host::audit in the host's log says which", path.display()
    )]
    NotRead { path: PathBuf },
    #[error(
        "the plugin {} is at {}, and swaps take files only from {from}. help: put it there, start the host with --admin-swap-from DIR, or set \
         swap_from under [admin]", path.display(), at.display()
    )]
    Elsewhere { path: PathBuf, at: PathBuf, from: String },
    #[error(
        "the plugin {name} is pinned to the SHA-256 {pinned}, and that of {} is {found}. help: if the change is meant, set sha256 under \
         [plugins.{name}], or the digest after @sha256: on the command line, to the new one", path.display()
    )]
    Pinned { name: String, path: PathBuf, pinned: ComponentDigest, found: ComponentDigest },
    #[error("the plugin {} is an empty file. Was its build interrupted? Build it again", path.display())]
    Empty { path: PathBuf },
    #[error("the plugin {} is no WebAssembly. Name the .wasm file that the build made", path.display())]
    NotWasm { path: PathBuf },
    #[error(
        "the plugin {} is a core WebAssembly module, and a plugin is a component. In Rust, build it with --target \
         wasm32-wasip2; of another compiler, make a component of it: gtm-host componentize CORE.wasm -o PLUGIN.wasm", path.display()
    )]
    CoreModule { path: PathBuf },
    #[error(
        "the plugin {} has more than {} MiB. help: build it without debug information, as with --release", path.display(), FILE >> 20
    )]
    TooLarge { path: PathBuf },
    #[error(
        "the plugin {} is not compiled, as {reason}. help: build it without debug information, or make it of fewer and smaller \
         functions", path.display()
    )]
    Compile { path: PathBuf, reason: String },
    #[error("the plugin {} cannot be compiled now: {reason}", path.display())]
    Compiler { path: PathBuf, reason: String },
    #[error(transparent)]
    Uncached(#[from] Uncached),
    #[error(
        "the plugin {} is a core WebAssembly module for WASI 0.1, and a plugin is a component for WASI 0.2. In Rust, build it with \
         --target wasm32-wasip2; of another compiler, make a component of it: gtm-host componentize CORE.wasm -o PLUGIN.wasm", path.display()
    )]
    Wasi01 { path: PathBuf },
    #[error("the plugin {} {what}", path.display())]
    Unsupported { path: PathBuf, what: &'static str },
    #[error("the plugin {} cannot be compiled: {reason}. Build it again", path.display())]
    Invalid { path: PathBuf, reason: String },
    #[error(
        "the plugin {} was built against contract {built}, and this gtm-host speaks {CONTRACT}. Update gtm-host, or \
         build the plugin with gtm-plugin {CONTRACT}", path.display()
    )]
    NewerContract { path: PathBuf, built: Version },
    #[error(
        "the plugin {} was built against contract {built}, which this gtm-host does not speak any more. Build the plugin \
         again with gtm-plugin {CONTRACT}", path.display()
    )]
    OlderContract { path: PathBuf, built: Version },
    #[error(
        "{} is a component of another world: it does not export {missing}. A plugin exports filter and handle, as \
         wit/world.wit says; in Rust the attribute #[plugin] does that", path.display()
    )]
    MissingExport { path: PathBuf, missing: &'static str },
    #[error("the plugin {} asks for {import}, which this gtm-host does not offer", path.display())]
    UnknownImport { path: PathBuf, import: String },
    #[error("the plugin {} does not fit contract {CONTRACT}: {reason}. Build it again with gtm-plugin {CONTRACT}", path.display())]
    Mismatch { path: PathBuf, reason: String },
    #[error("the plugin {} cannot say what it subscribes to: {reason}", path.display())]
    Subscriptions { path: PathBuf, reason: CallError },
    #[error("the plugin {} subscribes to \"{namespace}\": {reason}", path.display())]
    Subscription { path: PathBuf, namespace: String, reason: PatternError },
    #[error(
        "the plugin {} has {count} subscriptions, and may have {SUBSCRIPTIONS}. help: use patterns that stand for several namespaces, \
         as in shop.*", path.display()
    )]
    ManySubscriptions { path: PathBuf, count: usize },
    #[error(
        "the plugin {} has {count} regular expressions among its subscriptions, and may have {EXPRESSIONS}. help: join some of them \
         with |, or use patterns as in shop.*", path.display()
    )]
    ManyExpressions { path: PathBuf, count: usize },
    #[error("the plugin {} has a subscription of {length} bytes, and one may have {PATTERN}", path.display())]
    LongSubscription { path: PathBuf, length: usize },
    #[error("the plugin {} has no room in this host: {reason}", path.display())]
    NoRoom { path: PathBuf, reason: PoolFull },
    #[error(transparent)]
    NotTaken(SwapError),
    #[error("the plugin {} cannot be started: {reason}", path.display())]
    Start { path: PathBuf, reason: CallError },
    #[error(transparent)]
    Setup(#[from] SetupError),
}

impl LoadError {
    /// Returns why a version from this file does not become current.
    pub fn not_taken(path: PathBuf, reason: SwapError) -> Self {
        match reason {
            SwapError::NoRoom(reason) => Self::NoRoom { path, reason },
            outdated @ SwapError::SetUpAnew { .. } => Self::NotTaken(outdated),
        }
    }

    /// Returns the same for a client that names a file and is not to learn which files there are.
    #[must_use]
    pub fn withheld(self) -> Self {
        match self {
            Self::Missing { path }
            | Self::Unreadable { path, .. }
            | Self::NoFile { path }
            | Self::Elsewhere { path, .. } => Self::NotRead { path },
            other => other,
        }
    }
}

/// Why a plugin cannot be set up as it is said.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum SetupError {
    #[error("{what} of the plugin {plugin} is not there: {reason}")]
    Secret { plugin: String, what: String, reason: NoSecret },
    #[error(
        "the value of {header}, which the plugin {plugin} sends to {server}, is not a valid header value"
    )]
    Header { plugin: String, header: String, server: String },
    #[error("the plugin {plugin} is granted the directory {}, which is none", path.display())]
    NoDirectory { plugin: String, path: PathBuf },
}
