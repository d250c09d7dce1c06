//! Tests which worker an op belongs to.

use std::collections::BTreeMap;

use bson::{Bson, Decimal128, Document, doc};
use gtm_oplog::{Origin, Timestamp};

use super::*;

fn op(namespace: (&str, &str), key: Option<Document>) -> Op {
    let (database, collection) = namespace;
    let namespace = Arc::new(Namespace { database: database.into(), collection: collection.into() });
    let key = key.map(|key| bson::serialize_to_vec(&key).unwrap().into());
    Op::from_document(Origin::Oplog, Timestamp::default(), namespace, key, bytes::Bytes::new())
}

fn of(id: impl Into<Bson>) -> Op {
    op(("shop", "orders"), Some(doc! { "_id": id.into() }))
}

fn group(names: &[&str]) -> Group {
    Group::new(names.iter().map(|name| (*name).to_owned()).collect(), names[0]).unwrap()
}

/// Returns the worker of each of many ops.
fn places(group: &Group) -> Vec<String> {
    (0..20_000).map(|n| group.worker_of(&of(n)).to_owned()).collect()
}

#[test]
fn the_worker_of_an_op_never_changes() {
    let group = group(&["Tom", "Dick", "Harry"]);
    let id = bson::oid::ObjectId::from_bytes([7; 12]);
    let ops =
        [of(1), of(2), of(3), of("a"), of(2.5), of(id), op(("shop", "orders"), None), op(("shop", ""), None)];
    let workers: Vec<_> = ops.iter().map(|op| group.worker_of(op)).collect();
    assert_eq!(workers, GOLDEN, "hosts of another version would take other documents");
    let nested = of(doc! { "a": [1, { "b": "x" }], "c": 2 });
    assert_eq!(group.worker_of(&nested), GOLDEN_NESTED);
}

#[test]
fn each_op_belongs_to_one_worker_in_any_order_of_the_list() {
    let groups = [
        group(&["Tom", "Dick", "Harry"]),
        group(&["Harry", "Tom", "Dick"]),
        group(&["Dick", "Harry", "Tom"]),
    ];
    for n in 0..1000 {
        let owners: Vec<_> = groups.iter().filter(|group| group.owns(&of(n))).map(Group::name).collect();
        assert_eq!(owners, [groups[0].worker_of(&of(n))]);
    }
}

#[test]
fn a_worker_that_joins_or_leaves_moves_only_its_own_ops() {
    let (few, many) = (places(&group(&["a", "b", "c", "d"])), places(&group(&["a", "b", "c", "d", "e"])));
    let mut moved = 0;
    for (few, many) in few.iter().zip(&many) {
        if many == "e" {
            moved += 1;
        } else {
            assert_eq!(few, many);
        }
    }
    assert!((3000..5000).contains(&moved), "{moved}");
}

#[test]
fn shares_are_fair() {
    for count in 2..=10 {
        let names: Vec<_> = (1..=count).map(|n| format!("worker-{n}")).collect();
        let group = Group::new(names, "worker-1").unwrap();
        let mut shares = BTreeMap::new();
        for place in places(&group) {
            *shares.entry(place).or_insert(0) += 1;
        }
        let fair = 20_000 / count;
        assert_eq!(shares.len(), count);
        for (name, share) in shares {
            assert!((fair * 3 / 4..=fair * 5 / 4).contains(&share), "{name} of {count}: {share} of {fair}");
        }
    }
}

#[test]
fn ids_that_mongodb_considers_equal_have_one_worker() {
    // With this many workers, two ids share a worker by chance once in a hundred cases, and five almost never.
    let names: Vec<_> = (0..100).map(|n| format!("w{n}")).collect();
    let group = Group::new(names, "w0").unwrap();
    let worker = |id: Bson| group.worker_of(&of(id)).to_owned();
    for n in [0, 1, -7, 1_000_000] {
        let decimal: Decimal128 = format!("{n}.0").parse().unwrap();
        let same = [Bson::from(n), Bson::from(i64::from(n)), Bson::from(f64::from(n)), Bson::from(decimal)];
        for one in same {
            assert_eq!(worker(one.clone()), worker(n.into()), "{one:?}");
            let nested = |id: Bson| worker(doc! { "a": { "b": [id] } }.into());
            assert_eq!(nested(one), nested(n.into()));
        }
    }
    assert_eq!(worker(Bson::Symbol("a".into())), worker("a".into()));
    // Other fields than `_id` do not count; the namespace, the type and the structure do.
    let sharded = op(("shop", "orders"), Some(doc! { "country": "at", "_id": 1 }));
    assert_eq!(group.worker_of(&sharded), group.worker_of(&of(1)));
    let differ =
        |pairs: &mut dyn Iterator<Item = (String, String)>| pairs.filter(|(one, other)| one != other).count();
    assert!(differ(&mut (0..50).map(|n| (worker(n.into()), worker(n.to_string().into())))) > 40);
    let elsewhere = |n: i32| group.worker_of(&op(("shop", "items"), Some(doc! { "_id": n }))).to_owned();
    assert!(differ(&mut (0..50).map(|n| (worker(n.into()), elsewhere(n)))) > 40);
    let shapes = |n: i32| (doc! { "a": { "b": n } }, doc! { "a": {}, "b": n });
    assert!(
        differ(&mut (0..50).map(shapes).map(|(one, other)| (worker(one.into()), worker(other.into())))) > 40
    );
}

#[test]
fn an_op_with_a_malformed_key_belongs_to_a_worker() {
    let group = group(&["Tom", "Dick"]);
    let mut broken = of(doc! { "a": 1 });
    let whole = broken.document_key.clone().unwrap();
    for at in 0..whole.len() {
        for byte in [0, 1, 3, 0x7f, 0xff] {
            let mut bytes = whole.to_vec();
            bytes[at] = byte;
            broken.document_key = Some(bytes.into());
            group.worker_of(&broken);
        }
    }
}

#[test]
fn a_document_may_be_deep() {
    let mut id = doc! { "n": 1 };
    for _ in 0..150 {
        id = doc! { "a": id };
    }
    group(&["Tom", "Dick"]).worker_of(&of(id));
}

const GOLDEN: [&str; 8] = ["Tom", "Dick", "Dick", "Dick", "Harry", "Harry", "Dick", "Tom"];
const GOLDEN_NESTED: &str = "Harry";
