//! Lists of workers on the cluster.

use bson::oid::ObjectId;
use bson::{Bson, doc};
use gtm_store::{Group, ListDocument};
use gtm_test_support::Server;

use crate::support::Database;

async fn group(own: &Database, id: &str) -> Result<Vec<String>, String> {
    let list: ListDocument = format!("{}.lists/{id}", own.name).parse().unwrap();
    let group = Group::from_cluster(&own.client, &list, "Tom").await;
    group.map(|group| group.names().to_vec()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_list_is_found_by_an_id_of_any_type() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let object_id = ObjectId::new();
    let ids: [Bson; 5] = ["shop".into(), object_id.into(), 7.into(), "8".into(), 8.into()];
    for (n, id) in ids.into_iter().enumerate() {
        let list = doc! { "_id": id, "workers": ["Tom", format!("worker {n}")] };
        own.collection("lists").insert_one(list).await.unwrap();
    }
    for (id, other) in [("shop", 0), (object_id.to_hex().as_str(), 1), ("7", 2), ("7.0", 2), ("8", 3)] {
        let found = group(&own, id).await.unwrap();
        assert_eq!(found, ["Tom".to_owned(), format!("worker {other}")], "a string goes before a number");
    }
}

#[tokio::test]
async fn a_document_that_is_no_list_is_refused() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let said = group(&own, "none").await.unwrap_err();
    assert!(
        said.starts_with(&format!(
            "{}.lists/none has no list of workers: there is no such document",
            own.name
        ))
    );
    for (workers, says) in [
        (Bson::from("Tom"), "its field workers is not an array"),
        (Bson::from(vec![Bson::from("Tom"), Bson::from(1)]), "a worker in it is not a string"),
        (Bson::from(Vec::<Bson>::new()), "the list of workers is empty"),
        (Bson::from(vec!["Dick", "Harry"]), "there is no worker Tom; there are: Dick, Harry"),
    ] {
        let list = doc! { "_id": "x", "workers": workers };
        own.collection("lists").replace_one(doc! { "_id": "x" }, list).upsert(true).await.unwrap();
        let said = group(&own, "x").await.unwrap_err();
        assert!(said.contains(says), "{said}");
    }
    own.collection("lists").replace_one(doc! { "_id": "x" }, doc! {}).await.unwrap();
    assert!(group(&own, "x").await.unwrap_err().contains("it has no field workers"));
}

#[tokio::test]
async fn without_the_right_to_read_the_list_it_says_which() {
    let server = Server::start(Default::default()).unwrap();
    let own = Database::new(server.uri()).await;
    let data = doc! { "failCommands": ["find"], "errorCode": 13 };
    let fail = doc! { "configureFailPoint": "failCommand", "mode": { "times": 1 }, "data": data };
    own.client.database("admin").run_command(fail).await.unwrap();
    let said = group(&own, "x").await.unwrap_err();
    assert!(
        said.contains("may not read") && said.ends_with(&format!("in the database {}", own.name)),
        "{said}"
    );
}
