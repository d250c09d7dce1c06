//! The bulk API of Elasticsearch and OpenSearch: lines of JSON, and an answer for each.

use gtm_plugin::http::{Request, Response};
use gtm_plugin::{Failure, Outcome};
use serde_json::{Value, json};

use crate::action::{Collection, One};
use crate::json::nested;
use crate::settings::Settings;

/// In which each document has its namespace, where collections share an index.
const NAMESPACE: &str = "ns";

/// An outcome for each.
pub(crate) fn send(settings: &Settings, all: &[One]) -> Vec<Outcome> {
    let sent = Request::post(format!("{}/_bulk", settings.url))
        .header("content-type", "application/x-ndjson")
        .body(lines(settings, all))
        .send()
        .and_then(Response::check);
    let response = match sent {
        Ok(response) => response,
        Err(error) => return all.iter().map(|_| Err(error.clone().into())).collect(),
    };
    let answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let items = answer.get("items").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if items.len() != all.len() {
        let reason = "what answers is no Elasticsearch: it does not say what became of each document";
        return all.iter().map(|_| Err(Failure::retry(reason))).collect();
    }
    all.iter().zip(items).map(|(one, item)| outcome(one, item)).collect()
}

/// `{"index":{"status":201,…}}`, or with an `error`.
fn outcome(one: &One, item: &Value) -> Outcome {
    let result = item.get(action(one)).unwrap_or(&Value::Null);
    let status = result.get("status").and_then(Value::as_u64).unwrap_or_default();
    let reason = || {
        let error = result.get("error").unwrap_or(&Value::Null);
        let text = |name| error.get(name).and_then(Value::as_str).unwrap_or("no reason is given");
        format!("the index answers with status {status}: {}: {}", text("type"), text("reason"))
    };
    match status {
        200..=299 => Ok(()),
        // What is not there need not be removed.
        404 if one.document.is_none() => Ok(()),
        429 | 500..=599 => Err(Failure::Retry(reason())),
        _ => Err(Failure::Reject(reason())),
    }
}

pub(crate) fn drop_collection(settings: &Settings, collection: &Collection) -> Outcome {
    let index = index(settings, collection);
    let sent = match is_shared(settings) {
        false => Request::delete(format!("{}/{index}", settings.url)).send(),
        true => {
            let query =
                json!({ "query": { "term": { format!("{NAMESPACE}.keyword"): collection.namespace() } } });
            let url = format!("{}/{index}/_delete_by_query?conflicts=proceed&refresh=true", settings.url);
            Request::post(url).header("content-type", "application/json").body(query.to_string()).send()
        }
    }?;
    // An index that is not there is as good as dropped.
    if sent.status != 404 {
        sent.check()?;
    }
    Ok(())
}

fn lines(settings: &Settings, all: &[One]) -> String {
    let mut lines = String::new();
    for one in all {
        let One { collection, id, document } = one;
        let shared = is_shared(settings);
        let id = if shared { format!("{}/{id}", collection.namespace()) } else { id.clone() };
        let about = json!({ action(one): { "_index": index(settings, collection), "_id": id } });
        lines.push_str(&format!("{about}\n"));
        if let Some(document) = document {
            let mut fields = nested(document);
            if shared {
                fields.insert(NAMESPACE.to_owned(), collection.namespace().into());
            }
            lines.push_str(&format!("{}\n", Value::from(fields)));
        }
    }
    lines
}

fn action(one: &One) -> &'static str {
    if one.document.is_some() { "index" } else { "delete" }
}

/// Whether documents of several collections are in one index.
fn is_shared(settings: &Settings) -> bool {
    !(settings.index.contains("{database}") && settings.index.contains("{collection}"))
}

/// Elasticsearch takes no capital letters, nor some signs that a collection may have.
fn index(settings: &Settings, collection: &Collection) -> String {
    let name =
        settings.index.replace("{database}", &collection.database).replace("{collection}", &collection.name);
    let sign = |sign: char| match sign {
        '\\' | '/' | '*' | '?' | '"' | '<' | '>' | '|' | ' ' | ',' | '#' | ':' => '_',
        other => other,
    };
    name.to_lowercase()
        .chars()
        .map(sign)
        .collect::<String>()
        .trim_start_matches(['-', '_', '+', '.'])
        .to_owned()
}
