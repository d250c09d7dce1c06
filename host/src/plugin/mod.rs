//! What runs ops: WebAssembly components in a sandbox.
//!
//! [`Engine`] is shared by all plugins. [`Plugin::load`] checks a component against the contract
//! (`wit/`) and says in one sentence what is wrong with it. A [`Filter`] and a [`Handler`] call it:
//! each has an instance of its own, limited in memory and time, that is thrown away after a failure.
//! Nothing here knows where ops come from or what becomes of one that fails.

mod bindings;
mod call;
mod capabilities;
mod component;
mod contract;
mod engine;
mod filter;
mod handler;
mod limits;
mod linker;
mod load_error;
mod output;
mod state;

pub use bindings::{Failure, OperationType as ContractOperationType};
pub use call::CallError;
pub use capabilities::mail::{Mailer, MailerError};
pub use component::Plugin;
pub use engine::{Engine, EngineError};
pub use filter::Filter;
pub use handler::Handler;
pub use limits::Limits;
pub use load_error::LoadError;
