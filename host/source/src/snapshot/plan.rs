//! Plans a snapshot: it reads everything when it begins, and the rest when it resumes.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use gtm_oplog::{Namespace, Selection};
use mongodb::Client;

use super::collections::find;
use super::error::SnapshotError;
use super::ranges::split;
use super::state::{RangeEnd, SnapshotState};

/// Plans a snapshot that begins: adds everything that `selection` wants to its state.
pub(super) async fn begin(
    state: SnapshotState,
    client: &Client,
    selection: &mut Selection,
    parallel: usize,
) -> Result<SnapshotState, SnapshotError> {
    let found = find(client, selection).await?;
    if found.collections.is_empty() {
        tracing::info!(
            event = "snapshot.find_nothing",
            "the snapshot has nothing to read: no plugin subscribes to a collection that exists"
        );
    }
    let splits = found.collections.into_iter().map(|collection| split(client, collection, parallel));
    let collections = stream::iter(splits).buffered(parallel).collect().await;
    Ok(SnapshotState { unlisted: found.unlisted, collections, ..state })
}

/// Plans a snapshot that resumes. A collection that was dropped or renamed meanwhile is not read further. The stream
/// contains every document of a collection that was created since.
pub(super) async fn resume(
    mut state: SnapshotState,
    client: &Client,
    selection: &mut Selection,
) -> Result<SnapshotState, SnapshotError> {
    let found = find(client, selection).await?;
    let existing: HashMap<Arc<Namespace>, Option<String>> =
        found.collections.into_iter().map(|collection| (collection.namespace(), collection.uuid)).collect();
    for collection in state.collections.iter_mut().filter(|collection| collection.ended().is_none()) {
        let namespace = collection.namespace();
        let hidden = found.unlisted.iter().any(|database| **database == *namespace.database);
        if hidden || existing.get(&namespace) == Some(&collection.uuid) {
            continue;
        }
        tracing::info!(
            event = "snapshot.skip_dropped", %namespace,
            "the collection was dropped or renamed since the snapshot began"
        );
        for range in collection.ranges.iter_mut().filter(|range| range.ended.is_none()) {
            range.ended = Some(RangeEnd::Gone);
        }
    }
    Ok(state)
}
