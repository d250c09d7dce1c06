//! Converts ops and operation types.

use gtm_oplog as op;

use super::{OperationType, types};

/// Converts an op to the contract's type. Documents and names are borrowed: they are copied once, from the batch into the memory of
/// the plugin.
pub(crate) fn lower<'a>(op: &'a op::Op, id: &'a str, attempt: u32) -> types::Op<'a> {
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
