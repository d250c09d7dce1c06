//! Dead letters: whole, and page by page.

use bson::doc;
use gtm_oplog::{Op, OpPlace, OperationType, Origin, Transaction};
use gtm_store::{DeadLetterFilter, DeadLetterKind};

use super::{both, letter, op};
use crate::support::random;

fn assert_same(one: &Op, other: &Op) {
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
}

fn bytes(document: &bson::Document) -> Vec<u8> {
    bson::serialize_to_vec(document).unwrap()
}

/// An op whose parts are there or not, BSON or not.
fn odd(n: u32, state: &mut u64) -> Op {
    let mut op = op(n, bytes(&doc! { "n": n }));
    let part = |state: &mut u64| match random(state) % 5 {
        0 => None,
        1 => Some(vec![5, 0, 0, 0, 1].into()),
        2 => Some(Vec::new().into()),
        // The document's frame is right, what is in it is not.
        3 => Some(vec![12, 0, 0, 0, 0x7e, b'a', 0, 1, 2, 3, 4, 0].into()),
        _ => Some(bytes(&doc! { "$set": { "a.b": [1, null, { "x": "é" }] }, "": n }).into()),
    };
    (op.full_document, op.command) = (part(state), part(state));
    (op.update_description, op.full_document_before_change) = (part(state), part(state));
    op.wall_time = [None, Some(1), Some(u64::MAX)][random(state) % 3];
    op.place = [OpPlace::Index(u32::MAX), OpPlace::Token("82AB".into()), OpPlace::Document]
        [random(state) % 3]
        .clone();
    op.origin = [Origin::Oplog, Origin::ChangeStream, Origin::Snapshot, Origin::Replay][random(state) % 4];
    op.operation_type = [OperationType::Insert, OperationType::DropDatabase][random(state) % 2];
    if random(state).is_multiple_of(2) {
        op.transaction = Some(Transaction { id: "a\0b".into(), index: u32::MAX });
    }
    op
}

#[tokio::test]
async fn any_op_comes_back_byte_for_byte() {
    let (_server, _own, _directory, stores) = both().await;
    for store in &stores {
        let mut state = 7;
        for n in 0..120 {
            let letter = letter(&bson::oid::ObjectId::new().to_hex(), odd(n, &mut state));
            store.add_dead_letter(&letter).await.unwrap();
            let found = store.dead_letter(&letter.id).await.unwrap().unwrap();
            assert_same(&found.op, &letter.op);
            assert_eq!((found.first_attempt, found.time), (letter.first_attempt, letter.time));
            assert_eq!((found.error, found.attempts), (letter.error, letter.attempts));
            assert!(store.drop_dead_letter(&letter.id).await.unwrap());
        }
    }
}

#[tokio::test]
async fn an_op_larger_than_a_document_is_kept_whole() {
    let (_server, own, _directory, stores) = both().await;
    let large = |sign: &str| bytes(&doc! { "text": sign.repeat(15 << 20) });
    for store in &stores {
        let mut op = op(1, large("a"));
        op.full_document_before_change = Some(large("b").into());
        let mut letter = letter(&own.name, op);
        store.add_dead_letter(&letter).await.unwrap();
        assert_same(&store.dead_letter(&letter.id).await.unwrap().unwrap().op, &letter.op);
        // Again, and then small: no piece is left.
        letter.attempts = 9;
        store.add_dead_letter(&letter).await.unwrap();
        let found = store.dead_letter(&letter.id).await.unwrap().unwrap();
        assert_eq!(found.attempts, 9);
        assert_same(&found.op, &letter.op);
        letter.op.full_document_before_change = None;
        letter.op.full_document = None;
        store.add_dead_letter(&letter).await.unwrap();
        assert_same(&store.dead_letter(&letter.id).await.unwrap().unwrap().op, &letter.op);
        let parts = own.client.database("gtm").collection::<bson::Document>("dead_letter_parts");
        assert_eq!(parts.count_documents(doc! { "_id.letter": &letter.id }).await.unwrap(), 0);
        assert!(store.drop_dead_letter(&letter.id).await.unwrap());
        assert!(!store.drop_dead_letter(&letter.id).await.unwrap());
    }
}

#[tokio::test]
async fn letters_come_in_the_order_of_their_changes_page_by_page() {
    let (_server, own, _directory, stores) = both().await;
    for store in &stores {
        for n in (1..=25).rev() {
            let mut letter = letter(&own.name, op(n, bytes(&doc! { "n": n })));
            if n % 5 == 0 {
                letter.kind = DeadLetterKind::Rejected;
            }
            store.add_dead_letter(&letter).await.unwrap();
            // The same again is the same letter.
            store.add_dead_letter(&letter).await.unwrap();
        }
        let filter = DeadLetterFilter { pipeline: Some(own.name.clone()), ..Default::default() };
        let (mut seen, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = store.dead_letters(&filter, after.as_deref(), 10).await.unwrap();
            assert!(page.unreadable.is_empty(), "{:?}", page.unreadable);
            let Some(last) = page.last else { break };
            after = Some(last.clone());
            seen.extend(page.letters.iter().map(|letter| letter.op.timestamp.increment));
            // A page goes on after a letter that is gone.
            store.drop_dead_letter(&last).await.unwrap();
        }
        assert_eq!(seen, (1..=25).collect::<Vec<_>>());
        let count = async |change: fn(&mut DeadLetterFilter)| {
            let mut filter = filter.clone();
            change(&mut filter);
            store.dead_letters(&filter, None, 100).await.unwrap().letters.len()
        };
        assert_eq!(count(|_| {}).await, 22);
        assert_eq!(count(|filter| filter.kind = Some(DeadLetterKind::Rejected)).await, 2);
        assert_eq!(count(|filter| filter.namespace = Some("shop.*".to_owned())).await, 22);
        assert_eq!(count(|filter| filter.namespace = Some("/^store[.]/".to_owned())).await, 0);
        assert_eq!(count(|filter| filter.operation = Some(OperationType::Update)).await, 22);
        assert_eq!(count(|filter| filter.operation = Some(OperationType::Insert)).await, 0);
        assert_eq!(count(|filter| filter.error = Some("refused".to_owned())).await, 22);
        assert_eq!(count(|filter| filter.error = Some("REFUSED.".to_owned())).await, 0);
        assert_eq!(count(|filter| filter.until = Some(std::time::UNIX_EPOCH)).await, 0);
        assert_eq!(count(|filter| filter.since = Some(std::time::UNIX_EPOCH)).await, 22);
        assert_eq!(count(|filter| filter.plugin = Some("other".to_owned())).await, 0);
    }
}
