//! The Rust types that wasmtime generates of the contract, without the interfaces of granted capabilities; and the conversion of ops.

/// Generates a module with wasmtime's macro, exempt from the lints of this crate.
macro_rules! generate {
    ($name:ident, $options:tt) => {
        #[allow(
            dead_code,
            missing_docs,
            unreachable_pub,
            unsafe_code,
            clippy::all,
            clippy::restriction,
            reason = "the macro of wasmtime writes it, with the unsafe code that reads and writes the memory of a component"
        )]
        mod $name {
            wasmtime::component::bindgen!($options);
        }
    };
}
pub(super) use generate;

generate!(generated, {
    path: "../../wit",
    inline: "
        package gtm:host;

        world hosted {
            include gtm:plugin/plugin@0.1.0;
        }
    ",
    exports: { default: async },
    ownership: Borrowing { duplicate_if_necessary: true },
});

// An optional export, in a world of its own: the macro requires every export of a world.
generate!(filter_batch, {
    path: "../../wit",
    inline: "
        package gtm:host;

        world batch-filter {
            use gtm:plugin/types@0.1.0.{op};

            export filter-batch: func(ops: list<op>) -> list<bool>;
        }
    ",
    with: { "gtm:plugin/types": super::generated::gtm::plugin::types },
    exports: { default: async },
    ownership: Borrowing { duplicate_if_necessary: true },
});

pub(super) use filter_batch::{BatchFilter, BatchFilterPre};
pub use generated::gtm::plugin::types::{Failure, OperationType};
pub(super) use generated::gtm::plugin::{extended_json, log, metrics, types};
pub(super) use generated::{Hosted, HostedPre};
use gtm_oplog as op;

/// The contract's `subscription`. Written by hand, as the macro requires every export of a world, and `subscriptions` is optional.
#[derive(Debug, wasmtime::component::ComponentType, wasmtime::component::Lift)]
#[component(record)]
pub(super) struct Subscription {
    pub(super) namespace: String,
    #[component(name = "operation-types")]
    pub(super) operation_types: Vec<OperationType>,
}

/// Converts an op to the contract's type. Documents and names are borrowed: they are copied once, from the batch into the memory of
/// the plugin.
pub(super) fn lower<'a>(op: &'a op::Op, id: &'a str, attempt: u32) -> types::Op<'a> {
    types::Op {
        id,
        operation_type: op.operation_type.into(),
        database: &op.namespace.database,
        collection: &op.namespace.collection,
        timestamp: types::Timestamp { time: op.timestamp.time, increment: op.timestamp.increment },
        wall_time: op.wall_time,
        document_key: op.document_key.as_deref(),
        full_document: op.full_document.as_deref(),
        full_document_before_change: op.full_document_before_change.as_deref(),
        update_description: op.update_description.as_deref(),
        command: op.command.as_deref(),
        transaction: op
            .transaction
            .as_ref()
            .map(|transaction| types::Transaction { id: &transaction.id, index: transaction.index }),
        origin: match op.origin {
            op::Origin::Oplog => types::Origin::Oplog,
            op::Origin::ChangeStream => types::Origin::ChangeStream,
            op::Origin::Snapshot => types::Origin::Snapshot,
            op::Origin::Replay => types::Origin::Replay,
        },
        attempt,
    }
}

macro_rules! same_names {
    ($($name:ident),+) => {
        impl From<op::OperationType> for OperationType {
            fn from(operation: op::OperationType) -> Self {
                match operation { $(op::OperationType::$name => Self::$name),+ }
            }
        }

        impl From<OperationType> for op::OperationType {
            fn from(operation: OperationType) -> Self {
                match operation { $(OperationType::$name => Self::$name),+ }
            }
        }
    };
}

same_names!(
    Insert,
    Update,
    Replace,
    Delete,
    Create,
    Drop,
    Rename,
    DropDatabase,
    CreateIndexes,
    DropIndexes,
    Modify,
    Other
);
