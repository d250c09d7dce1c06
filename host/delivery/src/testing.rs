//! Helpers that the tests share.

use std::sync::Arc;

use bson::rawdoc;
use gtm_oplog::{Namespace, Op, Origin, Timestamp};

/// Returns an insert at this time.
pub(super) fn op(time: u32) -> Op {
    keyed(time, "a.things", i64::from(time))
}

/// Returns an insert of this document at this time.
pub(super) fn keyed(time: u32, namespace: &str, id: i64) -> Op {
    let (database, collection) = namespace.split_once('.').unwrap();
    let namespace = Arc::new(Namespace { database: database.into(), collection: collection.into() });
    let document = rawdoc! { "_id": id }.into_bytes();
    let timestamp = Timestamp { time, increment: 0 };
    let mut op = Op::from_document(
        Origin::Oplog,
        timestamp,
        namespace,
        Some(document.clone().into()),
        document.into(),
    );
    op.place = gtm_oplog::OpPlace::Index(0);
    op
}
