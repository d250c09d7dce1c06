//! Runs plugins: WebAssembly components in a sandbox.
//!
//! All plugins share an [`Engine`]. [`Plugin::load`] checks a component against the contract (`wit/`) and reports a mismatch in one
//! sentence. A [`PluginHandle`] holds the current version, and the services that the host has for it. A [`Filter`] and a [`Handler`] call
//! it: each has its own instance, limited in memory and time, with the granted capabilities ([`Grants`]). A failed instance is dropped.
//! This crate does not know where ops come from, or what happens to an op that fails.
//!
//! Each capability that needs a grant has a feature of its name (`dirs`, `env`, `http`, `mail`, `mongodb`, `state`, `tcp`); by default all are
//! on. A plugin that imports an interface of a capability that was left out does not load.

// Some items are used by only some capabilities.
#![cfg_attr(
    not(all(
        feature = "dirs",
        feature = "env",
        feature = "http",
        feature = "mail",
        feature = "mongodb",
        feature = "state",
        feature = "tcp"
    )),
    allow(unused)
)]

mod abi;
pub mod audit;
mod beginning;
mod budget;
mod call;
mod capabilities;
mod chain;
mod clock;
mod compiled;
mod component;
mod component_file;
mod component_path;
mod contract;
mod digest;
mod engine;
mod failure;
mod features;
mod filter;
#[doc(hidden)]
pub mod fuzzing;
mod gaps;
mod grants;
mod handle;
mod handler;
mod limits;
mod linker;
mod listening;
mod load_error;
mod metrics;
mod obstacle;
mod output;
mod pool;
mod remedy;
pub mod secret;
mod services;
mod setting;
mod setup;
mod share;
mod stamp;
mod state;
mod swap_from;
pub mod throttle;
mod timer;
mod timer_problem;
mod usage;

pub use audit::Actor;
pub use call::CallError;
#[cfg(feature = "dirs")]
pub use capabilities::DirGrant;
pub use capabilities::Grants;
#[cfg(feature = "mail")]
pub use capabilities::{AddressPattern, InvalidAddressPattern, MailGrant, Mailer, MailerError};
#[cfg(feature = "http")]
pub use capabilities::{
    AwsSignature, HttpAnswer, HttpGrant, InvalidHttpGrant, InvalidPathPattern, PathPattern,
};
#[cfg(feature = "tcp")]
pub use capabilities::{InvalidTcpGrant, TcpGrant};
#[cfg(feature = "mongodb")]
pub use capabilities::{MongodbGrants, NamespaceGrant};
pub use chain::{Filter, FilterStatus, PreparedChain};
pub use compiled::{ChildCompiler, Compilation, CompileLimits, compile_as_child};
pub use component::Plugin;
pub use component_path::ComponentPath;
pub use digest::{ComponentDigest, InvalidDigest};
pub use engine::{Engine, EngineError, Uncached};
pub use failure::Failure;
pub use features::unsupported;
pub use gaps::MissingGrant;
pub use grants::Grant;
pub use handle::{PluginHandle, SwapError};
pub use handler::Handler;
pub use limits::Limits;
pub use listening::Listening;
pub use load_error::{LoadError, SetupError};
pub use metrics::{Histogram, PluginMetrics};
pub use obstacle::{MetObstacle, Obstacle};
pub use pool::{PoolFull, places};
pub use remedy::PluginRemedy;
pub use secret::Secret;
#[cfg(feature = "mongodb")]
pub use services::Cluster;
pub use services::{Effect, Recorder, Services};
pub use setting::{DeclaredSetting, SettingProblem, SettingType};
pub use setup::{ComponentKind, PluginSetup};
pub use swap_from::SwapFrom;
pub use timer::{MissedTicks, Schedule, Timer, seconds};
pub use timer_problem::{RefusedTimer, TimerOrigin, TimerProblem};
pub use usage::{ConnectionCounts, SentCounts, TrapCounts, UsageStatus};
