//! What runs ops: WebAssembly components in a sandbox.
//!
//! [`Engine`] is shared by all plugins. [`Plugin::load`] checks a component against the contract
//! (`wit/`) and says in one sentence what is wrong with it. A [`PluginHandle`] holds the version that is current, and what the host
//! has for it. A [`Filter`] and a [`Handler`] call it: each has an instance of its own, limited in memory and time, that can do
//! what is granted ([`Grants`]) and is thrown away after a failure. Nothing here knows where ops come from or what becomes of
//! one that fails.
//!
//! Each capability that is granted has a feature of its name (`dirs`, `env`, `http`, `mail`, `mongodb`, `state`); by default all are
//! there. A plugin that imports an interface whose capability was left out does not load.

// What only some capabilities use.
#![cfg_attr(
    not(all(
        feature = "dirs",
        feature = "env",
        feature = "http",
        feature = "mail",
        feature = "mongodb",
        feature = "state"
    )),
    allow(unused)
)]

pub mod audit;
mod bindings;
mod budget;
mod call;
mod capabilities;
mod clock;
mod compiled;
mod component;
mod contract;
mod digest;
mod engine;
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
mod setup;
mod stamp;
mod state;
mod swap_from;
pub mod throttle;
mod usage;

pub use audit::Actor;
pub use bindings::{Failure, OperationType as ContractOperationType};
pub use call::CallError;
#[cfg(feature = "dirs")]
pub use capabilities::DirGrant;
#[cfg(feature = "mail")]
pub use capabilities::{AddressPattern, MailGrant, Mailer, MailerError, NoAddressPattern};
pub use capabilities::{Grants, contract_interfaces};
#[cfg(feature = "http")]
pub use capabilities::{HttpAnswer, HttpGrant, NoHttpGrant, NoPathPattern, PathPattern};
#[cfg(feature = "mongodb")]
pub use capabilities::{MongodbGrants, NamespaceGrant};
pub use compiled::{ChildCompiler, Compilation, CompileLimits, compile_as_child};
pub use component::Plugin;
pub use digest::{ComponentDigest, NoDigest};
pub use engine::{Engine, EngineError, Uncached};
pub use features::unsupported;
pub use filter::Filter;
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
pub use setup::PluginSetup;
pub use swap_from::SwapFrom;
pub use usage::{SentCounts, TrapCounts, UsageStatus};
