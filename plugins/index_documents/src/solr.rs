//! Solr's JSON commands, which stand one after another in one object: `{"add":{…},"delete":{…}}`.

use gtm_plugin::http::{Error, Request};
use gtm_plugin::{Failure, Outcome};
use serde_json::{Value, json};

use crate::action::{Collection, One};
use crate::json::flat;
use crate::settings::Settings;

/// In which each document has its namespace: by the ending, a text in any schema that Solr comes with.
const NAMESPACE: &str = "ns_s";

/// An outcome for each.
pub(crate) fn send(settings: &Settings, all: &[One]) -> Vec<Outcome> {
    match post(settings, &commands(all)) {
        Ok(()) => all.iter().map(|_| Ok(())).collect(),
        // Solr refuses all of them for one, and says not which.
        Err(Error::Rejected(_)) if all.len() > 1 => {
            let mut outcomes: Vec<Outcome> = Vec::new();
            for one in all {
                let after_retry = matches!(outcomes.last(), Some(Err(Failure::Retry(_))));
                outcomes.push(match after_retry {
                    true => Err(Failure::retry("after a change that could not be indexed now")),
                    false => post(settings, &commands(std::slice::from_ref(one))).map_err(Failure::from),
                });
            }
            outcomes
        }
        Err(error) => all.iter().map(|_| Err(error.clone().into())).collect(),
    }
}

pub(crate) fn drop_collection(settings: &Settings, collection: &Collection) -> Outcome {
    let query = format!("{NAMESPACE}:{}", Value::from(collection.namespace()));
    Ok(post(settings, &json!({ "delete": { "query": query } }).to_string())?)
}

/// By hand, as no JSON library writes the same key twice.
fn commands(all: &[One]) -> String {
    let commands = all.iter().map(|One { collection, id, document }| {
        let (namespace, id) = (collection.namespace(), format!("{}/{id}", collection.namespace()));
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
    });
    format!("{{{}}}", commands.collect::<Vec<_>>().join(","))
}

fn post(settings: &Settings, body: &str) -> Result<(), Error> {
    let url = format!("{}/update?commitWithin={}", settings.url, settings.commit_within);
    Request::post(url).header("content-type", "application/json").body(body).send()?.check().map(drop)
}
