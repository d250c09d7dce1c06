//! A change as JSON, with the names of MongoDB's change events.

use gtm_plugin::bson::raw::cstr;
use gtm_plugin::bson::{Timestamp, rawdoc};
use gtm_plugin::{Failure, Op, extended_json};

pub(crate) fn of(op: &Op) -> Result<String, Failure> {
    let namespace = op.namespace();
    let gtm_plugin::Timestamp { time, increment } = op.timestamp();
    let mut fields = rawdoc! {
        "id": op.id(),
        "operationType": op.operation_type().to_string(),
        "ns": { "db": namespace.database, "coll": namespace.collection },
        "clusterTime": Timestamp { time, increment },
        "attempt": i64::from(op.attempt()),
    };
    if let Some(at) = op.wall_time() {
        fields.append(cstr!("wallTime"), at);
    }
    extended_json::event(&fields, op)
}
