//! Splits a collection into ranges of `_id` that can be read at the same time.

use bson::{RawDocumentBuf, doc};
use futures_util::TryStreamExt;
use mongodb::Client;

use super::id::Id;
use super::retry::patiently;
use super::state::{Range, SnapshotCollection};

/// Below twice this, one reader is as fast as many.
const DOCUMENTS: u64 = 5_000;
/// Ranges for each reader: where one is larger than was thought, the others have something to do meanwhile.
const RANGES: u64 = 4;
/// Samples for each range: so many that the ranges are about of one size.
const SAMPLES: u64 = 16;
/// Of so many documents one is sampled at most: up to a twentieth, MongoDB finds them by a random cursor, and
/// beyond by reading all.
const SPARSE: u64 = 25;

/// Splits what is not small, for so many readers. One that cannot be asked stays whole: its reader finds out why.
///
/// The bounds are the index's, which orders all types of `_id`, and not those of a query, which would compare
/// values of one type only and leave out the others.
pub(super) async fn split(
    client: &Client,
    mut collection: SnapshotCollection,
    parallel: usize,
) -> SnapshotCollection {
    if collection.view {
        return collection;
    }
    let namespace = collection.namespace();
    let documents = client.database(&namespace.database).collection::<RawDocumentBuf>(&namespace.collection);
    let count = async || documents.estimated_document_count().await;
    let count = patiently(&format!("the documents of {namespace} cannot be counted"), count).await;
    collection.estimated = count.unwrap_or_default();

    let most = u64::try_from(parallel).unwrap_or(u64::MAX).saturating_mul(RANGES);
    let ranges = (collection.estimated / DOCUMENTS).min(most);
    if ranges < 2 || parallel < 2 {
        return collection;
    }
    let samples = (ranges * SAMPLES).min(collection.estimated / SPARSE);
    let sample = async || {
        // Sorted by the server, whose order of types and collations it is.
        let stages = [
            doc! { "$sample": { "size": i64::try_from(samples).unwrap_or(i64::MAX) } },
            doc! { "$project": { "_id": 1 } },
            doc! { "$sort": { "_id": 1 } },
        ];
        let cursor = documents.aggregate(stages).with_type::<RawDocumentBuf>().await?;
        cursor.try_collect::<Vec<_>>().await
    };
    let ids = patiently(&format!("{namespace} cannot be sampled"), sample).await.unwrap_or_default();
    collection.ranges = between(&ids, usize::try_from(ranges).unwrap_or(1));
    collection
}

/// So many ranges with bounds out of `ids`, which are in order: fewer where there are not enough.
fn between(ids: &[RawDocumentBuf], ranges: usize) -> Vec<Range> {
    let mut bounds: Vec<Id> = Vec::new();
    for number in 1..ranges {
        let id = ids.get(number * ids.len() / ranges).and_then(|id| Id::new(id));
        // The same document may be sampled twice.
        bounds.extend(id.filter(|id| bounds.last() != Some(id)));
    }
    let starts = std::iter::once(None).chain(bounds.iter().cloned().map(Some));
    let ends = bounds.iter().cloned().map(Some).chain(std::iter::once(None));
    starts.zip(ends).map(|(from, to)| Range { from, to, ..Range::default() }).collect()
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    fn ids(range: impl Iterator<Item = i32>) -> Vec<RawDocumentBuf> {
        range.map(|id| rawdoc! { "_id": id }).collect()
    }

    #[test]
    fn each_range_begins_where_the_one_before_it_ends() {
        let ranges = between(&ids(0..64), 4);
        let bounds: Vec<_> = ranges.iter().filter_map(|range| range.to.clone()).collect();
        assert_eq!(
            bounds,
            ids([16, 32, 48].into_iter()).iter().map(|id| Id::new(id).unwrap()).collect::<Vec<_>>()
        );
        assert_eq!(ranges.len(), 4);
        assert!(ranges[0].from.is_none() && ranges[3].to.is_none());
        assert!(ranges.windows(2).all(|pair| pair[0].to == pair[1].from && pair[0].to.is_some()));
    }

    #[test]
    fn few_or_equal_samples_make_fewer_ranges() {
        assert_eq!(between(&[], 8).len(), 1);
        assert_eq!(between(&ids([7; 100].into_iter()), 8).len(), 2);
    }
}
