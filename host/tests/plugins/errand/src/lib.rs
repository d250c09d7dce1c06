//! Does the errand that is written in each document inserted into a collection `errands`, and logs what came of it:
//! `NUMBER ok WHAT` or `NUMBER error WHAT`, where the number is the document's `_id`.

mod sockets;
#[cfg(target_family = "wasm")]
mod wasi_http;

use std::fmt::Display;

use gtm_plugin::bson::{Bson, Document, doc};
use gtm_plugin::http::{Request, Response};
use gtm_plugin::mongodb::{Collection, FindOptions};
use gtm_plugin::{
    Config, ConfigError, Error, Failure, Op, Outcome, Plugin, config, log, mail, metrics, plugin, state,
};

#[plugin(namespace = "*.errands", operation = insert)]
struct Errand;

impl Plugin for Errand {
    fn new(_: Config) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn filter(&self, op: &Op) -> bool {
        // Where it is asked to, it does what a filter may not.
        if let Ok(errand) = op.document::<Document>()
            && errand.get_bool("in_filter").unwrap_or(false)
        {
            report(&errand, run(&errand));
            return false;
        }
        // Each host of the tests has a database of its own.
        config::get("database").is_none_or(|database| op.namespace().database == database)
    }

    fn handle(&self, op: &Op) -> Outcome {
        let errand: Document = op.document()?;
        let outcome = run(&errand);
        // A strict one is not handled where it failed.
        let failed = outcome.clone().err().filter(|_| errand.get_bool("strict").unwrap_or(false));
        report(&errand, outcome);
        failed.map_or(Ok(()), |reason| Err(Failure::retry(reason)))
    }
}

fn report(errand: &Document, outcome: Result<String, String>) {
    let id = errand.get("_id").cloned().unwrap_or(Bson::Null);
    match outcome {
        Ok(what) => log::info!("{id} ok {what}"),
        Err(what) => log::info!("{id} error {what}"),
    }
}

fn run(errand: &Document) -> Result<String, String> {
    let text = |name: &str| errand.get_str(name).map_err(said);
    let part = |name: &str| errand.get_document(name).cloned().unwrap_or_default();
    let namespace = || text("ns").map(Collection::new);
    match text("do")? {
        "http" => {
            let mut request = Request::new(errand.get_str("method").unwrap_or("GET"), text("url")?);
            for (name, value) in part("headers") {
                request = request.header(name, value.as_str().unwrap_or_default());
            }
            // So many more, and one of so many bytes.
            for n in 0..errand.get_i32("headers_more").unwrap_or_default() {
                request = request.header(format!("x-{n}"), "v");
            }
            if let Ok(bytes) = errand.get_i32("header_bytes") {
                request = request.header("x-large", "v".repeat(usize::try_from(bytes).map_err(said)?));
            }
            if let Ok(body) = errand.get_str("body") {
                request = request.body(body);
            }
            if let Ok(bytes) = errand.get_i32("bytes") {
                request = request.body(vec![b'x'; usize::try_from(bytes).map_err(said)?]);
            }
            let send = if errand.get_bool("by_wasi").unwrap_or(false) { send_by_wasi } else { Request::send };
            let mut response = send(&request).map_err(said)?;
            // A plugin that follows redirects does so by itself.
            if let (Ok(true), Some(to)) = (errand.get_bool("follow"), response.header("location")) {
                response = send(&Request::get(to)).map_err(said)?;
            }
            Ok(format!("{} {}", response.status, shown(&response.body)))
        }
        "find" => {
            let options = FindOptions {
                sort: errand.get_document("sort").ok().cloned(),
                limit: errand.get_i32("limit").ok().and_then(|limit| u32::try_from(limit).ok()),
                ..FindOptions::default()
            };
            listed(namespace()?.find::<Document>(&part("filter"), options).map_err(said)?)
        }
        "aggregate" => {
            let stages = errand.get_array("pipeline").map_err(said)?;
            let stages: Vec<_> = stages.iter().filter_map(|stage| stage.as_document().cloned()).collect();
            listed(namespace()?.aggregate::<Document>(&stages).map_err(said)?)
        }
        "insert" => namespace()?.insert_one(&part("document")).map_err(said).map(|()| "inserted".to_owned()),
        "update" => {
            let many = errand.get_bool("many").unwrap_or(false);
            let updated = match many {
                true => namespace()?.update_many(&part("filter"), &part("update")),
                false => namespace()?.upsert_one(&part("filter"), &part("update")),
            };
            updated.map_err(said).map(|result| {
                let upserted =
                    result.upserted_id.map(|id| doc! { "_id": id }.to_string()).unwrap_or_default();
                format!("{} {} {upserted}", result.matched_count, result.modified_count)
            })
        }
        "replace" => {
            let replaced = namespace()?.replace_one(&part("filter"), &part("document"), true);
            replaced.map_err(said).map(|result| format!("{} {}", result.matched_count, result.modified_count))
        }
        "delete" => namespace()?.delete_many(&part("filter")).map_err(said).map(|count| count.to_string()),
        "get" => state::get(text("key")?).map_err(said).map(|value| match value {
            Some(value) => shown(&value),
            None => "nothing".to_owned(),
        }),
        "set" => state::set(text("key")?, text("value")?.as_bytes()).map_err(said).map(|()| "set".to_owned()),
        "forget" => state::delete(text("key")?).map_err(said).map(|()| "forgotten".to_owned()),
        "swap" => {
            let expected = errand.get_str("expected").ok().map(str::as_bytes);
            let swapped = state::compare_and_swap(text("key")?, expected, text("value")?.as_bytes());
            swapped.map_err(said).map(|done| done.to_string())
        }
        "mail" => {
            let body = errand.get_str("text").unwrap_or("done");
            let mut message = mail::Message::to(text("to")?).subject("an errand").text(body);
            if let Ok(from) = errand.get_str("from") {
                message = message.from(from);
            }
            if let Ok(copy) = errand.get_str("bcc") {
                message = message.bcc(copy);
            }
            for number in 0..errand.get_i32("more").unwrap_or(0) {
                message = message.and_to(format!("a{number}@example.com"));
            }
            mail::send(&message).map_err(said)
        }
        "read-file" => std::fs::read_to_string(text("path")?).map_err(said),
        "write-file" => {
            std::fs::write(text("path")?, text("text")?).map_err(said).map(|()| "written".to_owned())
        }
        "env" => std::env::var(text("name")?).map_err(said),
        "connect" => std::net::TcpStream::connect(text("to")?).map_err(said).map(|_| "connected".to_owned()),
        "talk" => sockets::talk(errand),
        "sockets" => sockets::many(text("to")?, errand.get_i32("count").map_err(said)?),
        "listen" => sockets::listen(text("at")?),
        "resolve" => sockets::resolve(text("name")?),
        "count" => {
            metrics::count("errands", 1);
            metrics::gauge("level", 0.5);
            metrics::record("seconds", 0.01);
            Ok("counted".to_owned())
        }
        // The host keeps none of it.
        "count-odd" => {
            for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                metrics::gauge("odd", odd);
                metrics::record("seconds", odd);
            }
            Ok("counted".to_owned())
        }
        "config" => Ok(config::get(text("key")?).unwrap_or_else(|| "nothing".to_owned())),
        other => Err(format!("{other} is no errand")),
    }
}

fn send_by_wasi(request: &Request) -> Result<Response, Error> {
    #[cfg(target_family = "wasm")]
    return wasi_http::send(request);
    #[cfg(not(target_family = "wasm"))]
    request.send()
}

fn listed(documents: Vec<Document>) -> Result<String, String> {
    let all: Vec<_> =
        documents.into_iter().map(|one| Bson::from(one).into_relaxed_extjson().to_string()).collect();
    Ok(format!("{} [{}]", all.len(), all.join(",")))
}

fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match text.len() {
        0..=2000 => text.into_owned(),
        length => format!("{length} bytes"),
    }
}

fn said(error: impl Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use gtm_plugin::testing::{Harness, insert};

    use super::*;

    #[test]
    fn an_errand_is_done_and_reported() {
        let op = insert("x.errands", doc! { "_id": 7, "do": "set", "key": "k", "value": "v" });
        let mut world = Harness::new();
        let run = world.run::<Errand>(&op);
        assert_eq!(run.outcome, Some(Ok(())));
        assert_eq!(run.log[0].1, "7 ok set");
        assert_eq!(world.state("k"), Some(&b"v"[..]));
    }
}
