//! Solr's JSON commands, which stand one after another in one object: `{"add":{…},"delete":{…}}`.

use gtm_plugin::Outcome;
use gtm_plugin::http::Request;
use serde_json::{Value, json};

use crate::action::{Collection, One};
use crate::bulk;
use crate::json::flat;
use crate::settings::Settings;

/// In which each document has its namespace: by the ending, a text in any schema that Solr comes with.
const NAMESPACE: &str = "ns_s";

/// An outcome for each.
pub(crate) fn send(settings: &Settings, all: &[One]) -> Vec<Outcome> {
    let commands: Vec<_> = all.iter().map(command).collect();
    bulk::send(&commands, |some| {
        post(settings, &format!("{{{}}}", some.join(",")))?;
        Ok(some.iter().map(|_| Ok(())).collect())
    })
}

pub(crate) fn drop_collection(settings: &Settings, collection: &Collection) -> Outcome {
    let query = format!("{NAMESPACE}:{}", Value::from(collection.namespace()));
    post(settings, &json!({ "delete": { "query": query } }).to_string())
}

/// By hand, as no JSON library writes the same key twice.
fn command(one: &One) -> String {
    let One { collection, document, .. } = one;
    let (namespace, id) = (collection.namespace(), one.id_among_collections());
    match document {
        Some(document) => {
            let mut fields = flat(document);
            // Solr's own: what a document calls so would be taken for these.
            fields.remove("_version_");
            fields.insert("id".to_owned(), id.into());
            fields.insert(NAMESPACE.to_owned(), namespace.into());
            format!("\"add\":{}", json!({ "doc": fields }))
        }
        None => format!("\"delete\":{}", json!({ "id": id })),
    }
}

fn post(settings: &Settings, body: &str) -> Outcome {
    let url = format!("{}/update?commitWithin={}", settings.url, settings.commit_within);
    Request::post(url)
        .header("content-type", "application/json")
        .body(body)
        .send()?
        .error_for_status()
        .map(drop)
}
