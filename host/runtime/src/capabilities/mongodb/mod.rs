//! `gtm:plugin/mongodb`: reads and writes on the cluster that the host follows, in the granted namespaces.

mod answers;
mod grant;
mod host;
mod reads;
#[cfg(test)]
mod reads_property;
mod v0_1;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bson::RawDocument;
pub use grant::{MongodbGrants, NamespaceGrant};
use gtm_oplog::Namespace;

use super::{Capability, CapabilityView, GrantedCapability, Linking, ListedCapability, ViewOf};
use crate::Limits;
use crate::abi::generate;
use crate::load_error::SetupError;
use crate::state::{CallContext, InstanceState};

/// The capability, for `handle` only.
pub(crate) struct Mongodb;

/// Whether the host has logged that the plugin gets its own writes as ops, which it logs once.
#[derive(Default)]
pub(crate) struct FedBack {
    is_reported: AtomicBool,
}

/// What the functions need of the current op.
#[derive(Default)]
pub(crate) struct OpInHand {
    /// Its namespace, if the plugin is granted any write.
    namespace: Option<Arc<Namespace>>,
}

type MongodbView<'a> = CapabilityView<'a, Mongodb>;

/// Returns the other namespaces that a command reads, for the fuzzers. None: it is refused.
pub(crate) fn reads_of(command: &RawDocument, database: &str) -> Option<Vec<String>> {
    reads::other_reads(command, database).ok()
}

impl Capability for Mongodb {
    const NAME: &'static str = "mongodb";
    const IMPORTS: &'static [&'static str] = &["gtm:plugin/mongodb"];

    fn link(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
        v0_1::link(linking)?;
        contract::add_to_linker::<_, ViewOf<Self>>(&mut linking.linker, Self::view)
    }
}

impl GrantedCapability for Mongodb {
    type Grant = MongodbGrants;
    type Prepared = ();
    type Shared = FedBack;
    type Instance = OpInHand;

    const FORMS: &'static [&'static str] = &["mongodb-read=DB.COLL", "mongodb-write=DB.COLL"];
    const PROPOSED: &'static [&'static str] = Self::FORMS;

    fn parse(name: &str, value: Option<&str>) -> Option<Result<MongodbGrants, String>> {
        let granted: fn(NamespaceGrant) -> MongodbGrants = match name {
            "mongodb-read" => |namespace| MongodbGrants { read: vec![namespace], write: Vec::new() },
            "mongodb-write" => |namespace| MongodbGrants { read: Vec::new(), write: vec![namespace] },
            _ => return None,
        };
        Some(NamespaceGrant::new(value?).map(granted).map_err(|error| error.to_string()))
    }

    fn merge(granted: &mut MongodbGrants, more: MongodbGrants) {
        granted.read.extend(more.read);
        granted.write.extend(more.write);
    }

    fn everything() -> MongodbGrants {
        let all = || NamespaceGrant::new("*").into_iter().collect();
        MongodbGrants { read: all(), write: all() }
    }

    fn describe(granted: &MongodbGrants) -> String {
        let read = granted.read.iter().map(|namespace| format!("read {namespace}"));
        let write = granted.write.iter().map(|namespace| format!("write {namespace}"));
        read.chain(write).collect::<Vec<_>>().join(", ")
    }

    fn prepare(_: &str, _: &MongodbGrants, _: &Limits) -> Result<(), SetupError> {
        Ok(())
    }

    fn instance(_: &CallContext) -> OpInHand {
        OpInHand::default()
    }

    fn begin(state: &mut InstanceState, _: &str, namespace: &Arc<Namespace>) {
        if !state.call.setup.grants.mongodb.write.is_empty() {
            state.contexts.mongodb.namespace = Some(Arc::clone(namespace));
        }
    }
}

use generated::gtm::plugin::mongodb as contract;

generate!(generated, {
    path: "../../wit/0.2",
    inline: "
        package gtm:host;

        world mongodb {
            import gtm:plugin/mongodb@0.2.0;
        }
    ",
    with: { "gtm:plugin/types": crate::abi::v0_2::types },
    imports: { default: async },
});
