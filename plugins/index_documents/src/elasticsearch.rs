//! The bulk API of Elasticsearch and OpenSearch: lines of JSON, and an answer for each.

use gtm_plugin::http::Request;
use gtm_plugin::{Failure, Outcome};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::action::{Collection, One};
use crate::bulk;
use crate::json::nested;
use crate::settings::Settings;

/// In which each document has its namespace, where collections share an index.
const NAMESPACE: &str = "ns";

/// An outcome for each.
pub(crate) fn send(settings: &Settings, all: &[One]) -> Vec<Outcome> {
    let lines: Vec<_> = all.iter().map(|one| lines(settings, one)).collect();
    bulk::send(&lines, |some| {
        let request =
            Request::post(format!("{}/_bulk", settings.url)).header("content-type", "application/x-ndjson");
        let response = request.body(some.concat()).send()?.error_for_status()?;
        let answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let items = answer.get("items").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if items.len() != some.len() {
            let reason =
                "the server is not Elasticsearch: its answer does not have the result of each document";
            return Err(Failure::retry(reason));
        }
        Ok(items.iter().map(outcome).collect())
    })
}

/// `{"index":{"status":201,…}}`, or with an `error`.
fn outcome(item: &Value) -> Outcome {
    let item = item.as_object().and_then(|item| item.iter().next());
    let (action, result) = item.map_or(("", &Value::Null), |(action, result)| (action.as_str(), result));
    let status = result.get("status").and_then(Value::as_u64).unwrap_or_default();
    let reason = || {
        let error = result.get("error").unwrap_or(&Value::Null);
        let text = |name| error.get(name).and_then(Value::as_str).unwrap_or("no reason is given");
        format!("the index answers with status {status}: {}: {}", text("type"), text("reason"))
    };
    match status {
        200..=299 => Ok(()),
        // What is not there need not be removed.
        404 if action == "delete" => Ok(()),
        429 | 500..=599 => Err(Failure::Retry(reason())),
        _ => Err(Failure::Reject(reason())),
    }
}

/// Removes the collection's index, or its documents from an index that others share.
pub(crate) fn drop_collection(settings: &Settings, collection: &Collection) -> Outcome {
    if is_shared(settings) {
        return clear(settings, collection);
    }
    there_or_not(&Request::delete(format!("{}/{}", settings.url, index(settings, collection))))
}

/// Removes the collection's documents. An index stays, with its mapping.
pub(crate) fn clear(settings: &Settings, collection: &Collection) -> Outcome {
    let index = format!("{}/{}", settings.url, index(settings, collection));
    let query = match is_shared(settings) {
        true => json!({ "term": { format!("{NAMESPACE}.keyword"): collection.namespace() } }),
        false => json!({ "match_all": {} }),
    };
    // A query finds only what was refreshed.
    there_or_not(&Request::post(format!("{index}/_refresh")))?;
    let delete = Request::post(format!("{index}/_delete_by_query?conflicts=proceed&refresh=true"));
    let body = json!({ "query": query }).to_string();
    there_or_not(&delete.header("content-type", "application/json").body(body))
}

/// An index that is not there has no documents.
fn there_or_not(request: &Request) -> Outcome {
    let response = request.send()?;
    if response.status != 404 {
        response.error_for_status()?;
    }
    Ok(())
}

/// What is to be done, and with what.
fn lines(settings: &Settings, one: &One) -> String {
    let One { collection, id, document } = one;
    let shared = is_shared(settings);
    let id = if shared { one.id_among_collections() } else { id.clone() };
    let about = json!({ action(one): { "_index": index(settings, collection), "_id": id } });
    let Some(document) = document else { return format!("{about}\n") };
    let mut fields = nested(document);
    if shared {
        fields.insert(NAMESPACE.to_owned(), collection.namespace().into());
    }
    format!("{about}\n{}\n", Value::from(fields))
}

fn action(one: &One) -> &'static str {
    if one.document.is_some() { "index" } else { "delete" }
}

/// Whether documents of several collections are in one index.
fn is_shared(settings: &Settings) -> bool {
    !(settings.index.contains("{database}") && settings.index.contains("{collection}"))
}

/// Elasticsearch takes no capital letters, nor all signs that a collection may have; nor does a URL. Where the name has to be
/// another, a digest of the collection's own is put after it, so that no two collections come to the same.
fn index(settings: &Settings, collection: &Collection) -> String {
    let name =
        settings.index.replace("{database}", &collection.database).replace("{collection}", &collection.name);
    let sign = |sign: char| match sign {
        'a'..='z' | '0'..='9' | '.' | '_' | '-' => sign,
        'A'..='Z' => sign.to_ascii_lowercase(),
        _ => '_',
    };
    let plain: String = name.chars().map(sign).collect();
    let plain = plain.trim_start_matches(['-', '_', '.']);
    if plain == name && !name.is_empty() {
        return name;
    }
    let digest = hex::encode(Sha256::digest(name).get(..4).unwrap_or_default());
    format!("{plain}-{digest}").trim_start_matches('-').to_owned()
}
