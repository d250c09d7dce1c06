//! The versions of the plugin contract that the host supports, a module for each: its types in Rust, and the conversions to and from
//! them. Capabilities generate the types of their own interfaces. [`Exports`] calls a plugin by whichever contract it was built against.

mod exports;
pub(crate) mod v0_1;
pub(crate) mod v0_2;

pub(crate) use exports::{DeclaredTimer, ExportIndices, Exports, HandleOutcome, Subscription};

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
        pub(crate) mod $name {
            wasmtime::component::bindgen!($options);
        }
    };
}
pub(crate) use generate;

/// Converts ops and operation types to and from the types of a contract, in which they have the same names.
macro_rules! convert_ops {
    ($types:path) => {
        use $types as contract;

        /// Converts an op to the contract's type. Documents and names are borrowed: they are copied once, from the batch into the
        /// memory of the plugin.
        pub(super) fn lower<'a>(op: &'a gtm_oplog::Op, id: &'a str, attempt: u32) -> contract::Op<'a> {
            contract::Op {
                id,
                operation_type: operation_type(op.operation_type),
                database: &op.namespace.database,
                collection: &op.namespace.collection,
                timestamp: contract::Timestamp { time: op.timestamp.time, increment: op.timestamp.increment },
                wall_time: op.wall_time,
                document_key: op.document_key.as_deref(),
                full_document: op.full_document.as_deref(),
                full_document_before_change: op.full_document_before_change.as_deref(),
                update_description: op.update_description.as_deref(),
                command: op.command.as_deref(),
                transaction: op.transaction.as_ref().map(|transaction| contract::Transaction {
                    id: &transaction.id,
                    index: transaction.index,
                }),
                origin: match op.origin {
                    gtm_oplog::Origin::Oplog => contract::Origin::Oplog,
                    gtm_oplog::Origin::ChangeStream => contract::Origin::ChangeStream,
                    gtm_oplog::Origin::Snapshot => contract::Origin::Snapshot,
                    // A tick is passed in a record of its own.
                    gtm_oplog::Origin::Replay | gtm_oplog::Origin::Timer => contract::Origin::Replay,
                },
                attempt,
            }
        }

        $crate::abi::convert_ops!(
            @operations Insert, Update, Replace, Delete, Create, Drop, Rename, DropDatabase, CreateIndexes,
            DropIndexes, Modify, Other
        );
    };
    (@operations $($name:ident),+) => {
        fn operation_type(operation: gtm_oplog::OperationType) -> contract::OperationType {
            match operation {
                $(gtm_oplog::OperationType::$name => contract::OperationType::$name,)+
                gtm_oplog::OperationType::Tick => contract::OperationType::Other,
            }
        }

        /// Converts an operation type of the contract.
        pub(super) fn lift_operation(operation: contract::OperationType) -> gtm_oplog::OperationType {
            match operation { $(contract::OperationType::$name => gtm_oplog::OperationType::$name),+ }
        }
    };
}
pub(crate) use convert_ops;
