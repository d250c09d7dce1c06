//! Servers that take what plugins send, look whether it has the right form, and do it in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value, json};

/// What a server knows.
#[derive(Default)]
pub struct Index {
    /// Documents by index and id; of Solr, the index is empty.
    pub documents: BTreeMap<(String, String), Map<String, Value>>,
    /// Of Elasticsearch: those that no query finds before the next refresh.
    fresh: BTreeSet<(String, String)>,
    /// Answers 503 to so many requests.
    pub busy: usize,
    pub requests: usize,
    /// What did not have the right form.
    pub wrong: Vec<String>,
    /// All that came, as it came.
    pub received: Vec<(HeaderMap, Bytes)>,
}

#[derive(Clone)]
pub struct Sink {
    pub address: SocketAddr,
    index: Arc<Mutex<Index>>,
}

impl Sink {
    pub async fn solr() -> Self {
        Self::start(|index, method, uri, headers, body| {
            if (method, uri.path()) != (&Method::POST, "/solr/shop/update")
                || headers["content-type"] != "application/json"
            {
                return index.refuse(format!("{method} {uri}"));
            }
            solr(index, body)
        })
        .await
    }

    pub async fn elasticsearch() -> Self {
        Self::start(|index, method, uri, headers, body| match (method.as_str(), uri.path()) {
            ("POST", "/_bulk") if headers["content-type"] == "application/x-ndjson" => bulk(index, body),
            ("DELETE", path) => {
                let name = path.trim_start_matches('/').to_owned();
                let before = index.documents.len();
                index.documents.retain(|(index, _), _| *index != name);
                (if index.documents.len() < before { StatusCode::OK } else { StatusCode::NOT_FOUND })
                    .into_response()
            }
            ("POST", path) if path.ends_with("/_refresh") => index.refresh(path),
            ("POST", path) if path.ends_with("/_delete_by_query") => index.delete_by_query(path, body),
            _ => index.refuse(format!("{method} {uri}")),
        })
        .await
    }

    /// Takes everything.
    pub async fn hook() -> Self {
        Self::start(|_, _, _, _, _| StatusCode::NO_CONTENT.into_response()).await
    }

    async fn start(
        answer: impl Fn(&mut Index, &Method, &Uri, &HeaderMap, &Bytes) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = Self { address: listener.local_addr().unwrap(), index: Arc::default() };
        let handle = async move |State(index): State<Arc<Mutex<Index>>>,
                                 method: Method,
                                 uri: Uri,
                                 headers: HeaderMap,
                                 body: Bytes| {
            let mut index = index.lock().unwrap();
            index.requests += 1;
            index.received.push((headers.clone(), body.clone()));
            if index.busy > 0 {
                index.busy -= 1;
                return (StatusCode::SERVICE_UNAVAILABLE, "busy").into_response();
            }
            answer(&mut index, &method, &uri, &headers, &body)
        };
        let router = Router::new().fallback(handle).with_state(Arc::clone(&sink.index));
        tokio::spawn(async move { axum::serve(listener, router).await });
        sink
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn with<T>(&self, look: impl FnOnce(&mut Index) -> T) -> T {
        look(&mut self.index.lock().unwrap())
    }
}

impl Index {
    /// `/INDEX/_refresh`
    fn refresh(&mut self, path: &str) -> Response {
        let name = path.trim_start_matches('/').trim_end_matches("/_refresh");
        self.fresh.retain(|(index, _)| index != name);
        self.found(name)
    }

    /// `/INDEX/_delete_by_query`, of all documents or of those with a field of this value.
    fn delete_by_query(&mut self, path: &str, body: &Bytes) -> Response {
        let name = path.trim_start_matches('/').trim_end_matches("/_delete_by_query");
        let found = self.found(name);
        let query: Value = serde_json::from_slice(body).unwrap();
        let is_meant = |document: &Map<String, Value>| match query["query"]["term"]["ns.keyword"].as_str() {
            Some(namespace) => document["ns"] == namespace,
            None => query["query"]["match_all"].is_object(),
        };
        let fresh = &self.fresh;
        self.documents.retain(|key, document| key.0 != name || fresh.contains(key) || !is_meant(document));
        found
    }

    fn found(&self, name: &str) -> Response {
        let is_there = self.documents.keys().any(|(index, _)| index == name);
        (if is_there { StatusCode::OK } else { StatusCode::NOT_FOUND }).into_response()
    }

    fn refuse(&mut self, what: String) -> Response {
        self.wrong.push(what.clone());
        (StatusCode::BAD_REQUEST, what).into_response()
    }
}

/// A document that no schema takes: its `total` is no number.
fn fits(document: &Map<String, Value>) -> bool {
    document.get("total").is_none_or(Value::is_number)
}

/// The commands of Solr: an object in which a name may stand more than once.
struct Commands(Vec<(String, Value)>);

impl<'de> serde::Deserialize<'de> for Commands {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Commands;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("commands")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Commands, A::Error> {
                let mut all = Vec::new();
                while let Some(command) = map.next_entry()? {
                    all.push(command);
                }
                Ok(Commands(all))
            }
        }
        deserializer.deserialize_map(All)
    }
}

fn solr(index: &mut Index, body: &Bytes) -> Response {
    let commands: Commands = match serde_json::from_slice(body) {
        Ok(commands) => commands,
        Err(error) => return index.refuse(error.to_string()),
    };
    let document = |command: &Value| command["doc"].as_object().cloned();
    if let Some((_, command)) =
        commands.0.iter().find(|(_, command)| document(command).is_some_and(|one| !fits(&one)))
    {
        let said = json!({ "error": { "msg": format!("ERROR: [doc={}] Error adding field 'total'", command["doc"]["id"]) } });
        return (StatusCode::BAD_REQUEST, said.to_string()).into_response();
    }
    for (name, command) in commands.0 {
        match (name.as_str(), document(&command), command["id"].as_str(), command["query"].as_str()) {
            ("add", Some(document), _, _)
                if document["id"].is_string() && document.values().all(|value| !value.is_object()) =>
            {
                let id = document["id"].as_str().unwrap().to_owned();
                index.documents.insert((String::new(), id), document);
            }
            ("delete", None, Some(id), None) => drop(index.documents.remove(&(String::new(), id.to_owned()))),
            ("delete", None, None, Some(query)) => {
                let namespace: Value = serde_json::from_str(query.strip_prefix("ns_s:").unwrap()).unwrap();
                index.documents.retain(|_, document| document["ns_s"] != namespace);
            }
            _ => return index.refuse(format!("{name}: {command}")),
        }
    }
    axum::Json(json!({ "responseHeader": { "status": 0 } })).into_response()
}

fn bulk(index: &mut Index, body: &Bytes) -> Response {
    let text = std::str::from_utf8(body).unwrap_or_default();
    if !text.ends_with('\n') {
        return index.refuse("The bulk request must be terminated by a newline".to_owned());
    }
    let (mut lines, mut items, mut errors) = (text.lines(), Vec::new(), false);
    while let Some(line) = lines.next() {
        let about: Value = serde_json::from_str(line).unwrap_or_default();
        let (action, about) = about
            .as_object()
            .and_then(|about| about.iter().next())
            .map(|(name, about)| (name.clone(), about.clone()))
            .unwrap_or_default();
        let (Some(name), Some(id)) = (about["_index"].as_str(), about["_id"].as_str()) else {
            return index.refuse(format!("no action: {line}"));
        };
        if name.to_lowercase() != name || name.is_empty() {
            return index.refuse(format!("no name of an index: {name}"));
        }
        let key = (name.to_owned(), id.to_owned());
        let result = match action.as_str() {
            "index" => {
                let document: Map<String, Value> =
                    serde_json::from_str(lines.next().unwrap_or_default()).unwrap();
                if fits(&document) {
                    index.fresh.insert(key.clone());
                    let status = if index.documents.insert(key, document).is_none() { 201 } else { 200 };
                    json!({ "status": status })
                } else {
                    errors = true;
                    json!({ "status": 400, "error": { "type": "mapper_parsing_exception", "reason": "failed to parse field [total]" } })
                }
            }
            "delete" => json!({ "status": if index.documents.remove(&key).is_some() { 200 } else { 404 } }),
            other => return index.refuse(format!("no action: {other}")),
        };
        items.push(json!({ action: result }));
    }
    axum::Json(json!({ "took": 1, "errors": errors, "items": items })).into_response()
}
