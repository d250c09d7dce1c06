//! Why a plugin cannot be loaded: one sentence for each reason, with the remedy.

use std::path::PathBuf;

use gtm_oplog::PatternError;
use semver::Version;

use super::call::CallError;
use super::contract::{CONTRACT, PACKAGE_NAME, SUPPORTED};
use super::digest::ComponentDigest;
use super::engine::Uncached;
use super::handle::SwapError;
use super::limits::{MAX_EXPRESSIONS, MAX_FILE_BYTES, MAX_PATTERN_BYTES, MAX_SUBSCRIPTIONS};
use super::pool::PoolFull;
use super::setting::{DeclaredSetting, SettingProblem};
use super::timer::MAX_TIMERS;
use super::timer_problem::RefusedTimer;
use crate::secret::SecretError;

/// Why a plugin cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages describe them")]
pub enum LoadError {
    #[error(
        "the plugin {} does not exist. help: check the path, and whether the plugin was built (in Rust: cargo build --release --target \
         wasm32-wasip2)", path.display()
    )]
    Missing { path: PathBuf },
    #[error("the plugin {} cannot be read: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: std::io::Error },
    #[error("the plugin {} is not a regular file. help: name the .wasm file that the build made", path.display())]
    NoFile { path: PathBuf },
    #[error(
        "the plugin {} cannot be read: it is not there, is not a regular file, gtm-host may not read it, or swaps may not take files from \
         its directory", path.display()
    )]
    NotRead { path: PathBuf },
    #[error(
        "the plugin {} is at {}, and swaps take files only from {from}", path.display(), at.display()
    )]
    Elsewhere { path: PathBuf, at: PathBuf, from: String },
    #[error(
        "the plugin {name} is pinned to the SHA-256 {pinned}, and that of {} is {found}", path.display()
    )]
    Pinned { name: String, path: PathBuf, pinned: ComponentDigest, found: ComponentDigest },
    #[error("the plugin {} is an empty file. help: build it again; perhaps its build was interrupted", path.display())]
    Empty { path: PathBuf },
    #[error("the plugin {} is not WebAssembly. help: name the .wasm file that the build made", path.display())]
    NotWasm { path: PathBuf },
    #[error(
        "the plugin {} is a core WebAssembly module, and a plugin is a component", path.display()
    )]
    CoreModule { path: PathBuf },
    #[error(
        "the plugin {} has more than {} MiB. help: build it without debug information, as with --release", path.display(), MAX_FILE_BYTES >> 20
    )]
    TooLarge { path: PathBuf },
    #[error(
        "the plugin {} is not compiled: {reason}. help: build it without debug information, or with fewer and smaller functions",
        path.display()
    )]
    Compile { path: PathBuf, reason: String },
    #[error("the plugin {} cannot be compiled now: {reason}", path.display())]
    Compiler { path: PathBuf, reason: String },
    #[error(transparent)]
    Uncached(#[from] Uncached),
    #[error(
        "the plugin {} is a core WebAssembly module for WASI 0.1, and a plugin is a component for WASI 0.2", path.display()
    )]
    Wasi01 { path: PathBuf },
    #[error("the plugin {} {what}", path.display())]
    Unsupported { path: PathBuf, what: &'static str },
    #[error("the plugin {} cannot be compiled: {reason}. help: build it again", path.display())]
    Invalid { path: PathBuf, reason: String },
    #[error(
        "the plugin {} was built against contract {built}, and this gtm-host supports {}. help: update gtm-host, \
         or build the plugin with an SDK of contract {CONTRACT}", path.display(), supported()
    )]
    NewerContract { path: PathBuf, built: Version },
    #[error(
        "the plugin {} was built against contract {built}, which this gtm-host no longer supports. help: build the plugin \
         again with an SDK of contract {CONTRACT}", path.display()
    )]
    OlderContract { path: PathBuf, built: Version },
    #[error(
        "{} is a component of another world: it exports none of {PACKAGE_NAME}/handler, {PACKAGE_NAME}/batch-handler and {PACKAGE_NAME}/schedule. help: export one of \
         them, as wit/{}.{}/world.wit says; in Rust, the attribute #[plugin] does that",
        path.display(), CONTRACT.major, CONTRACT.minor
    )]
    MissingExport { path: PathBuf },
    #[error(
        "{} is a component of another world: it exports neither {PACKAGE_NAME}/filter nor {PACKAGE_NAME}/batch-filter. help: export one of \
         them, as wit/{}.{}/world.wit says; in Rust, the attribute #[plugin(filter)] does that",
        path.display(), CONTRACT.major, CONTRACT.minor
    )]
    MissingFilter { path: PathBuf },
    #[error("{} is a filter for plugins: it exports no handler, so it does not run by itself", path.display())]
    IsFilter { path: PathBuf },
    #[error("{} is a plugin, not a filter: it exports a handler", path.display())]
    IsPlugin { path: PathBuf },
    #[error("the plugin {} imports {import}, which this gtm-host does not provide", path.display())]
    UnknownImport { path: PathBuf, import: String },
    #[error("the plugin {} does not fit contract {contract}: {reason}. help: build it again with an SDK of contract {CONTRACT}", path.display())]
    Mismatch { path: PathBuf, contract: Version, reason: String },
    #[error("the settings of the plugin {} are not valid: {}", path.display(), listed(problems))]
    Settings { path: PathBuf, problems: Vec<SettingProblem>, declared: Vec<DeclaredSetting> },
    #[error("the plugin {} refuses to start: {reason}", path.display())]
    Refused { path: PathBuf, reason: String, declared: Option<Vec<DeclaredSetting>> },
    #[error("the plugin {} subscribes to \"{namespace}\": {reason}", path.display())]
    Subscription { path: PathBuf, namespace: String, reason: PatternError },
    #[error(
        "the plugin {} has {count} subscriptions, and at most {MAX_SUBSCRIPTIONS} are allowed. help: use patterns that stand for several namespaces, \
         as in shop.*", path.display()
    )]
    ManySubscriptions { path: PathBuf, count: usize },
    #[error(
        "the plugin {} has {count} regular expressions among its subscriptions, and at most {MAX_EXPRESSIONS} are allowed. help: join some of them \
         with |, or use patterns as in shop.*", path.display()
    )]
    ManyExpressions { path: PathBuf, count: usize },
    #[error("the plugin {} has a subscription of {length} bytes, and at most {MAX_PATTERN_BYTES} are allowed", path.display())]
    LongSubscription { path: PathBuf, length: usize },
    #[error("the plugin {} has {count} timers, and at most {MAX_TIMERS} are allowed", path.display())]
    ManyTimers { path: PathBuf, count: usize, declared: Option<Vec<DeclaredSetting>> },
    #[error(
        "the timer \"{}\" of the plugin {} is not valid: {}{}", refused.timer, path.display(), refused.reason, refused.origin
    )]
    Timer { path: PathBuf, refused: Box<RefusedTimer>, declared: Option<Vec<DeclaredSetting>> },
    #[error("the plugin {} has no places in this host: {reason}", path.display())]
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

    /// Returns whether the file is a plugin, or a filter: it has the right exports, and does not start as it is set up.
    pub fn is_of_plugin(&self) -> bool {
        matches!(
            self,
            Self::Settings { .. }
                | Self::Refused { .. }
                | Self::Subscription { .. }
                | Self::ManySubscriptions { .. }
                | Self::ManyExpressions { .. }
                | Self::LongSubscription { .. }
                | Self::ManyTimers { .. }
                | Self::Timer { .. }
                | Self::NoRoom { .. }
                | Self::Start { .. }
        )
    }

    /// Returns the settings that the plugin declares. None: it accepts any, or they are not known.
    pub fn declared(&self) -> Option<&[DeclaredSetting]> {
        match self {
            Self::Settings { declared, .. } => Some(declared),
            Self::Refused { declared, .. }
            | Self::ManyTimers { declared, .. }
            | Self::Timer { declared, .. } => declared.as_deref(),
            _ => None,
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

fn supported() -> String {
    SUPPORTED.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

fn listed(problems: &[SettingProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Why a plugin cannot be set up as its settings say.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages describe them")]
pub enum SetupError {
    #[error("{what} of the plugin {plugin} is missing: {reason}")]
    Secret { plugin: String, what: String, reason: SecretError },
    #[error(
        "the value of {header}, which the plugin {plugin} sends to {server}, is not a valid header value"
    )]
    Header { plugin: String, header: String, server: String },
    #[error("the plugin {plugin} is granted {}, which is not a directory", path.display())]
    NoDirectory { plugin: String, path: PathBuf },
}
