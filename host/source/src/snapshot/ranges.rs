//! Splits a collection into ranges of `_id` that are read in parallel.

use bson::{RawDocumentBuf, doc};
use futures_util::TryStreamExt;
use mongodb::Client;

use super::id::Id;
use super::retry::with_retries;
use super::state::{Range, SnapshotCollection};

/// The minimum number of documents in a range. In a small collection, one reader is as fast as several.
const MIN_DOCUMENTS_PER_RANGE: u64 = 5_000;
/// The number of ranges per reader. If one is larger than estimated, the other readers have something to do meanwhile.
const RANGES_PER_READER: u64 = 4;
/// The number of samples per range, so that the ranges have about the same size.
const SAMPLES_PER_RANGE: u64 = 16;
/// The minimum number of documents per sample. Up to a twentieth of the documents, MongoDB uses a random cursor; beyond that, it
/// reads all of them.
const MIN_DOCUMENTS_PER_SAMPLE: u64 = 25;

/// Splits a collection for `parallel` readers, unless it is small. If the server cannot be asked, the collection stays whole, and its
/// reader finds out the reason.
///
/// The bounds are those of the index, which orders all types of `_id`. A query would only compare values of one type and leave out
/// the others.
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
    let count = with_retries(&format!("the documents of {namespace} cannot be counted"), count).await;
    collection.estimated = count.unwrap_or_default();

    let max_ranges = u64::try_from(parallel).unwrap_or(u64::MAX).saturating_mul(RANGES_PER_READER);
    let ranges = (collection.estimated / MIN_DOCUMENTS_PER_RANGE).min(max_ranges);
    if ranges < 2 || parallel < 2 {
        return collection;
    }
    let samples = (ranges * SAMPLES_PER_RANGE).min(collection.estimated / MIN_DOCUMENTS_PER_SAMPLE);
    let sample = async || {
        // The server sorts, as it knows the order of types and the collation.
        let stages = [
            doc! { "$sample": { "size": i64::try_from(samples).unwrap_or(i64::MAX) } },
            doc! { "$project": { "_id": 1 } },
            doc! { "$sort": { "_id": 1 } },
        ];
        let cursor = documents.aggregate(stages).with_type::<RawDocumentBuf>().await?;
        cursor.try_collect::<Vec<_>>().await
    };
    let ids = with_retries(&format!("{namespace} cannot be sampled"), sample).await.unwrap_or_default();
    collection.ranges = between(&ids, usize::try_from(ranges).unwrap_or(1));
    collection
}

/// Returns `ranges` ranges with bounds from `ids`, which are sorted; fewer if there are not enough.
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
    fn each_range_begins_at_the_end_of_the_one_before() {
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
