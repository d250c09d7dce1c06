//! Why a plugin cannot be loaded: one sentence for each reason, with the remedy.

use std::path::PathBuf;

use gtm_oplog::PatternError;
use semver::Version;

use super::call::CallError;
use super::component_path::ComponentPath;
use super::contract::{CONTRACT, PACKAGE_NAME, SUPPORTED};
use super::digest::ComponentDigest;
use super::engine::Uncached;
use super::handle::SwapError;
use super::limits::{MAX_EXPRESSIONS, MAX_FILE_BYTES, MAX_PATTERN_BYTES, MAX_SUBSCRIPTIONS};
use super::pool::PoolFull;
use super::setting::{DeclaredSetting, SettingProblem};
use super::setup::ComponentKind;
use super::timer::MAX_TIMERS;
use super::timer_problem::RefusedTimer;
use crate::secret::SecretError;

/// Why a plugin cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages describe them")]
pub enum LoadError {
    #[error(
        "{component} does not exist. help: check the path, and whether the {} was built (in Rust: cargo build --release --target \
         wasm32-wasip2)", component.kind
    )]
    Missing { component: ComponentPath },
    #[error("{component} cannot be read: {reason}")]
    Unreadable { component: ComponentPath, reason: std::io::Error },
    #[error("{component} is not a regular file. help: name the .wasm file that the build made")]
    NoFile { component: ComponentPath },
    #[error(
        "{component} cannot be read: it is not there, is not a regular file, gtm-host may not read it, or swaps may not take files from \
         its directory"
    )]
    NotRead { component: ComponentPath },
    #[error(
        "{component} is at {}, and swaps take files only from {from}", at.display()
    )]
    Elsewhere { component: ComponentPath, at: PathBuf, from: String },
    #[error(
        "the {} {name} is pinned to the SHA-256 {pinned}, and that of {} is {found}", component.kind, component.path.display()
    )]
    Pinned { name: String, component: ComponentPath, pinned: ComponentDigest, found: ComponentDigest },
    #[error("{component} is an empty file. help: build it again; perhaps its build was interrupted")]
    Empty { component: ComponentPath },
    #[error("{component} is not WebAssembly. help: name the .wasm file that the build made")]
    NotWasm { component: ComponentPath },
    #[error(
        "{component} is a core WebAssembly module, and a {} is a component", component.kind
    )]
    CoreModule { component: ComponentPath },
    #[error(
        "{component} has more than {} MiB. help: build it without debug information, as with --release", MAX_FILE_BYTES >> 20
    )]
    TooLarge { component: ComponentPath },
    #[error(
        "{component} is not compiled: {reason}. help: build it without debug information, or with fewer and smaller functions"
    )]
    Compile { component: ComponentPath, reason: String },
    #[error("{component} cannot be compiled now: {reason}")]
    Compiler { component: ComponentPath, reason: String },
    #[error(transparent)]
    Uncached(#[from] Uncached),
    #[error(
        "{component} is a core WebAssembly module for WASI 0.1, and a {} is a component for WASI 0.2", component.kind
    )]
    Wasi01 { component: ComponentPath },
    #[error("{component} {what}")]
    Unsupported { component: ComponentPath, what: &'static str },
    #[error("{component} cannot be compiled: {reason}. help: build it again")]
    Invalid { component: ComponentPath, reason: String },
    #[error(
        "{component} was built against contract {built}, and this gtm-host supports {}. help: update gtm-host, \
         or build the {} with an SDK of contract {CONTRACT}", supported(), component.kind
    )]
    NewerContract { component: ComponentPath, built: Version },
    #[error(
        "{component} was built against contract {built}, which this gtm-host no longer supports. help: build the {} \
         again with an SDK of contract {CONTRACT}", component.kind
    )]
    OlderContract { component: ComponentPath, built: Version },
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
    #[error("{} is a plugin, not a filter: it exports a handler or timers", path.display())]
    IsPlugin { path: PathBuf },
    #[error("{component} imports {import}, which this gtm-host does not provide")]
    UnknownImport { component: ComponentPath, import: String },
    #[error(
        "{component} does not fit contract {contract}: {reason}. help: build it again with an SDK of contract {CONTRACT}"
    )]
    Mismatch { component: ComponentPath, contract: Version, reason: String },
    #[error("the settings of {component} are not valid: {}", listed(problems))]
    Settings { component: ComponentPath, problems: Vec<SettingProblem>, declared: Vec<DeclaredSetting> },
    #[error("{component} refuses to start: {reason}")]
    Refused { component: ComponentPath, reason: String, declared: Option<Vec<DeclaredSetting>> },
    #[error("{component} subscribes to \"{namespace}\": {reason}")]
    Subscription { component: ComponentPath, namespace: String, reason: PatternError },
    #[error(
        "{component} has {count} subscriptions, and at most {MAX_SUBSCRIPTIONS} are allowed. help: use patterns that stand for several namespaces, \
         as in shop.*"
    )]
    ManySubscriptions { component: ComponentPath, count: usize },
    #[error(
        "{component} has {count} regular expressions among its subscriptions, and at most {MAX_EXPRESSIONS} are allowed. help: join some of them \
         with |, or use patterns as in shop.*"
    )]
    ManyExpressions { component: ComponentPath, count: usize },
    #[error("{component} has a subscription of {length} bytes, and at most {MAX_PATTERN_BYTES} are allowed")]
    LongSubscription { component: ComponentPath, length: usize },
    #[error("{component} has {count} timers, and at most {MAX_TIMERS} are allowed")]
    ManyTimers { component: ComponentPath, count: usize, declared: Option<Vec<DeclaredSetting>> },
    #[error("the timer \"{}\" of {component} is not valid: {}{}", refused.timer, refused.reason, refused.origin)]
    Timer { component: ComponentPath, refused: Box<RefusedTimer>, declared: Option<Vec<DeclaredSetting>> },
    #[error("{component} has no places in this host: {reason}")]
    NoRoom { component: ComponentPath, reason: PoolFull },
    #[error(transparent)]
    NotTaken(SwapError),
    #[error("{component} cannot be started: {reason}")]
    Start { component: ComponentPath, reason: CallError },
    #[error(transparent)]
    Setup(#[from] SetupError),
}

impl LoadError {
    /// Returns why a version from this file does not become current.
    pub fn not_taken(component: ComponentPath, reason: SwapError) -> Self {
        match reason {
            SwapError::NoRoom(reason) => Self::NoRoom { component, reason },
            outdated @ SwapError::SetUpAnew { .. } => Self::NotTaken(outdated),
        }
    }

    /// Returns what the component is if it has the exports of a plugin or a filter, and does not start as it is set up.
    pub fn unstarted(&self) -> Option<ComponentKind> {
        match self {
            Self::Settings { component, .. }
            | Self::Refused { component, .. }
            | Self::Subscription { component, .. }
            | Self::ManySubscriptions { component, .. }
            | Self::ManyExpressions { component, .. }
            | Self::LongSubscription { component, .. }
            | Self::ManyTimers { component, .. }
            | Self::Timer { component, .. }
            | Self::NoRoom { component, .. }
            | Self::Start { component, .. } => Some(component.kind),
            _ => None,
        }
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
            Self::Missing { component }
            | Self::Unreadable { component, .. }
            | Self::NoFile { component }
            | Self::Elsewhere { component, .. } => Self::NotRead { component },
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
