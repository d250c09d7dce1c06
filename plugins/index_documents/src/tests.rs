use gtm_plugin::bson::{doc, oid::ObjectId};
use gtm_plugin::http::{Request, Response};
use gtm_plugin::testing::{Harness, OpBuilder, delete, insert, replace, update};
use gtm_plugin::{Failure, Op, OperationType, Origin};

use super::*;

fn solr() -> Harness {
    Harness::new().config("url", "http://solr/solr/shop/")
}

fn elasticsearch() -> Harness {
    Harness::new().config("url", "http://es:9200").config("engine", "elasticsearch")
}

fn body(request: &Request) -> String {
    String::from_utf8(request.body.clone()).unwrap()
}

fn some() -> Vec<Op> {
    let id = ObjectId::parse_str("6553f1000000000000000001").unwrap();
    vec![
        insert("shop.orders", doc! { "_id": id, "total": 3, "to": { "city": "Köln" } }),
        replace("shop.orders", doc! { "_id": "a/b", "total": 4 }),
        delete("shop.orders", doc! { "_id": 7 }),
        // An update of what is gone.
        OpBuilder::new("shop.orders", OperationType::Update).key(&doc! { "_id": { "a": 1 } }).build(),
    ]
}

#[test]
fn solr_gets_commands_in_their_order() {
    let (outcomes, run) = solr().run_batch::<IndexDocuments>(&some());
    assert_eq!(outcomes, [Ok(()), Ok(()), Ok(()), Ok(())]);
    assert_eq!(run.requests.len(), 1);
    assert_eq!(run.requests[0].url, "http://solr/solr/shop/update?commitWithin=1000");
    assert_eq!(
        body(&run.requests[0]),
        concat!(
            r#"{"add":{"doc":{"total":3,"to.city":"Köln","id":"shop.orders/6553f1000000000000000001","ns_s":"shop.orders"}},"#,
            r#""add":{"doc":{"total":4,"id":"shop.orders/a/b","ns_s":"shop.orders"}},"#,
            r#""delete":{"id":"shop.orders/7"},"delete":{"id":"shop.orders/{\"a\":{\"$numberInt\":\"1\"}}"}}"#
        )
    );
    assert_eq!((run.counters["indexed"], run.counters["deleted"]), (2, 2));
}

#[test]
fn elasticsearch_gets_lines_and_says_what_became_of_each() {
    let answer = r#"{"errors":true,"items":[{"index":{"status":201}},{"index":{"status":400,"error":{"type":"mapper_parsing_exception",
        "reason":"no number"}}},{"delete":{"status":404}},{"delete":{"status":200}}]}"#;
    let server = |_: &Request| Ok(Response { status: 200, body: answer.into(), ..Response::default() });
    let (outcomes, run) = elasticsearch().server(server).run_batch::<IndexDocuments>(&some());
    assert_eq!(outcomes[0], Ok(()));
    let refused = "the index answers with status 400: mapper_parsing_exception: no number";
    assert_eq!(outcomes[1], Err(Failure::Reject(refused.to_owned())));
    assert_eq!(outcomes[2..], [Ok(()), Ok(())]);
    let lines: Vec<_> = body(&run.requests[0]).lines().map(str::to_owned).collect();
    assert_eq!(lines[0], r#"{"index":{"_index":"shop.orders","_id":"6553f1000000000000000001"}}"#);
    assert_eq!(lines[1], r#"{"total":3,"to":{"city":"Köln"}}"#);
    assert_eq!(lines[4], r#"{"delete":{"_index":"shop.orders","_id":"7"}}"#);
    assert!(body(&run.requests[0]).ends_with('\n'));
    assert_eq!(run.counters["refused"], 1);
}

#[test]
fn one_that_solr_refuses_is_found_among_many() {
    let server = |request: &Request| {
        let refused = body(request).contains("\"total\":4");
        Ok(Response {
            status: if refused { 400 } else { 200 },
            body: "no number".into(),
            ..Response::default()
        })
    };
    let (outcomes, run) = solr().server(server).run_batch::<IndexDocuments>(&some());
    assert!(
        matches!(&outcomes[1], Err(Failure::Reject(reason)) if reason.contains("no number")),
        "{outcomes:?}"
    );
    assert!([0, 2, 3].iter().all(|n| outcomes[*n] == Ok(())));
    assert_eq!(run.requests.len(), 5);
}

#[test]
fn what_cannot_be_indexed_now_is_tried_again_and_so_is_what_comes_after() {
    let server = |_: &Request| Err(gtm_plugin::Error::Unavailable("refused".to_owned()));
    let mut ops = some();
    ops.push(OpBuilder::new("shop.old", OperationType::Drop).build());
    for harness in [solr(), elasticsearch()] {
        let (outcomes, run) = harness.server(server).run_batch::<IndexDocuments>(&ops);
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(Failure::Retry(_)))), "{outcomes:?}");
        assert_eq!(run.requests.len(), 1, "nothing overtakes");
    }
}

#[test]
fn a_collection_that_is_dropped_goes_after_what_was_before_it() {
    let ops = [
        insert("shop.orders", doc! { "_id": 1 }),
        OpBuilder::new("shop.orders", OperationType::Drop).build(),
        insert("shop.orders", doc! { "_id": 2 }),
    ];
    let (_, run) = solr().run_batch::<IndexDocuments>(&ops);
    assert_eq!(run.requests.len(), 3);
    assert_eq!(body(&run.requests[1]), r#"{"delete":{"query":"ns_s:\"shop.orders\""}}"#);
    let (_, run) = elasticsearch().run_batch::<IndexDocuments>(&ops[1..2]);
    assert_eq!(
        (run.requests[0].method.as_str(), run.requests[0].url.as_str()),
        ("DELETE", "http://es:9200/shop.orders")
    );
    let (_, run) = elasticsearch().config("index", "all").run_batch::<IndexDocuments>(&ops[1..2]);
    assert_eq!(run.requests[0].url, "http://es:9200/all/_refresh", "a query finds what was refreshed");
    assert_eq!(run.requests[1].url, "http://es:9200/all/_delete_by_query?conflicts=proceed&refresh=true");
    assert_eq!(body(&run.requests[1]), r#"{"query":{"term":{"ns.keyword":"shop.orders"}}}"#);
}

fn rename(from: &str, to: &str) -> OpBuilder {
    OpBuilder::new(from, OperationType::Rename).command(&doc! { "renameCollection": from, "to": to })
}

#[test]
fn a_rename_removes_what_was_there_and_indexes_what_the_cluster_has() {
    let documents = vec![doc! { "_id": 1, "total": 1 }, doc! { "_id": "1", "total": 2 }];
    let harness = solr().collection("shop.orders", documents);
    let (outcomes, run) =
        { harness }.run_batch::<IndexDocuments>(&[rename("shop.made", "shop.orders").build()]);
    assert_eq!(outcomes, [Ok(())]);
    let bodies: Vec<_> = run.requests.iter().map(body).collect();
    assert_eq!(bodies[0], r#"{"delete":{"query":"ns_s:\"shop.made\""}}"#);
    assert_eq!(bodies[1], r#"{"delete":{"query":"ns_s:\"shop.orders\""}}"#);
    assert!(
        bodies[2].contains(r#""id":"shop.orders/1""#) && bodies[2].contains(r#""id":"shop.orders/\"1\"""#)
    );
    assert_eq!(run.counters["indexed"], 2);
}

#[test]
fn a_rename_is_wanted_by_either_name() {
    for (namespaces, wanted) in
        [("shop.made", true), ("shop.orders", true), ("shop.o*", true), ("hr.*", false)]
    {
        let mut harness = solr().config("namespaces", namespaces);
        let run = harness.run_in_batch::<IndexDocuments>(&rename("shop.made", "shop.orders").build());
        assert_eq!(run.wanted, wanted, "{namespaces}");
        // Only what is indexed is touched.
        let is_touched = |name: &str| run.requests.iter().any(|request| body(request).contains(name));
        assert_eq!(is_touched("shop.made"), namespaces == "shop.made", "{namespaces}");
    }
}

#[test]
fn a_rename_in_a_file_says_what_is_to_be_indexed_anew() {
    let op = rename("shop.made", "shop.orders").origin(Origin::Replay).build();
    let (outcomes, run) = elasticsearch().run_batch::<IndexDocuments>(&[op]);
    assert!(
        matches!(&outcomes[0], Err(Failure::Reject(reason)) if reason.contains("shop.orders is not complete in the index")),
        "{outcomes:?}"
    );
    let urls: Vec<_> = run.requests.iter().map(|request| request.url.rsplit('/').next().unwrap()).collect();
    assert_eq!(urls, ["shop.made", "_refresh", "_delete_by_query?conflicts=proceed&refresh=true"]);
}

#[test]
fn a_namespace_with_a_slash_is_not_part_of_an_id() {
    let ids: Vec<_> = [insert("shop.a/b", doc! { "_id": "c" }), insert("shop.a", doc! { "_id": "b/c" })]
        .iter()
        .map(|op| body(&solr().run_batch::<IndexDocuments>(std::slice::from_ref(op)).1.requests[0]))
        .collect();
    assert!(ids[0].contains(r#""id":"shop.a%2Fb/c""#) && ids[1].contains(r#""id":"shop.a/b/c""#), "{ids:?}");
}

#[test]
fn what_is_left_out_is_counted() {
    let op = insert("shop.orders", doc! { "_id": 1, "x": f64::NAN, "y": [f64::INFINITY, 1.0], "none": null });
    let run = solr().run_in_batch::<IndexDocuments>(&op);
    assert!(body(&run.requests[0]).contains(r#"{"y":1.0,"#), "{}", body(&run.requests[0]));
    assert_eq!(run.counters["left_out"], 2);
}

#[test]
fn what_is_indexed_can_be_chosen() {
    let mut harness = solr().config("namespaces", "shop.*").config("fields", "total, name");
    let op = update("shop.orders", doc! { "_id": 1, "total": 3, "secret": 4 }, doc! {});
    let run = harness.run_in_batch::<IndexDocuments>(&op);
    assert!(run.wanted && !body(&run.requests[0]).contains("secret"));
    assert!(!harness.run_in_batch::<IndexDocuments>(&insert("users.users", doc! { "_id": 1 })).wanted);
}

#[test]
fn a_wrong_setting_is_refused() {
    let refused = |harness: Harness| { harness }.start_batch::<IndexDocuments>().unwrap_err().to_string();
    assert!(refused(Harness::new()).starts_with("the setting url is missing"));
    assert!(refused(Harness::new().config("url", "localhost")).contains("begin it with https://"));
    assert!(refused(solr().config("engine", "sphinx")).starts_with("the setting engine is \"sphinx\""));
    assert!(refused(solr().config("commit_within", "1s")).starts_with("the setting commit_within is \"1s\""));
    assert!(refused(solr().config("namespace", "shop.*")).contains("did you mean namespaces?"));
    assert!(refused(solr().config("namespaces", "shop")).contains("write shop.* "));
}

#[test]
fn many_large_documents_go_in_several_requests() {
    let ops: Vec<_> =
        (0..20).map(|n| insert("a.b", doc! { "_id": n, "text": "x".repeat(1 << 20) })).collect();
    let answer = |request: &Request| {
        let count = body(request).lines().count() / 2;
        let items = vec![r#"{"index":{"status":201}}"#; count].join(",");
        Ok(Response { status: 200, body: format!("{{\"items\":[{items}]}}").into(), ..Response::default() })
    };
    for harness in [solr(), elasticsearch().server(answer)] {
        let (outcomes, run) = { harness }.run_batch::<IndexDocuments>(&ops);
        assert!(outcomes.len() == 20 && outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        assert_eq!(run.requests.len(), 3);
        assert!(run.requests.iter().all(|request| request.body.len() <= 8 << 20));
    }
}

#[test]
fn a_request_that_is_refused_whole_is_sent_one_by_one() {
    let server = |request: &Request| {
        let refused = body(request).contains("a/b");
        let body = r#"{"items":[{"index":{"status":200}}]}"#;
        Ok(Response { status: if refused { 400 } else { 200 }, body: body.into(), ..Response::default() })
    };
    let (outcomes, run) = elasticsearch().server(server).run_batch::<IndexDocuments>(&some());
    assert!(matches!(&outcomes[1], Err(Failure::Reject(_))), "{outcomes:?}");
    assert!([0, 2, 3].iter().all(|n| outcomes[*n] == Ok(())));
    assert_eq!(run.requests.len(), 5);
}

#[test]
fn no_two_collections_come_to_the_same_index() {
    let names = ["shop.orders", "shop.Orders", "shop.a/b", "shop.a_b", "shop.köln", "shop.x%2Cshop.orders"];
    let indexes: std::collections::BTreeSet<_> = names
        .iter()
        .map(|name| {
            let dropped = OpBuilder::new(name, OperationType::Drop).build();
            let (_, run) = elasticsearch().run_batch::<IndexDocuments>(&[dropped]);
            run.requests[0].url.strip_prefix("http://es:9200/").unwrap().to_owned()
        })
        .collect();
    assert_eq!(indexes.len(), names.len(), "{indexes:?}");
    assert!(indexes.contains("shop.orders"));
    let plain = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || "._-".contains(sign);
    assert!(indexes.iter().all(|index| index.chars().all(plain)), "{indexes:?}");
}
