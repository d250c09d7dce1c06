//! The harness runs a plugin as the host does, and records its effects.

use bson::{Document, doc};

use crate::http::{Request, Response};
use crate::mongodb::Collection;
use crate::testing::{Harness, insert, update};
use crate::{Config, ConfigError, Error, Op, Outcome, Plugin, log, metrics, plugin, state};

/// Sends the text of the update description to a server, and uses each capability.
#[plugin]
struct Busy;

impl Plugin for Busy {
    fn new(_: Config) -> Result<Self, ConfigError> {
        assert!(matches!(state::get("k"), Err(Error::NotGranted(_))));
        Ok(Self)
    }

    fn filter(&self, op: &Op) -> bool {
        let things = Collection::new("a.b");
        assert!(matches!(things.find_one::<Document>(&doc! {}), Err(Error::NotGranted(_))));
        assert!(matches!(Request::get("http://x/").send(), Err(Error::NotGranted(_))));
        !op.is_insert()
    }

    fn handle(&self, op: &Op) -> Outcome {
        let description: Document = op.update_description()?;
        let request = Request::put("http://x/").header("a", "1").body(description.get_str("text")?);
        let response = request.send()?.error_for_status()?;
        let own = response.header("x-own").map(str::to_owned);
        let things = Collection::new("a.b");
        things.insert_many(&[doc! { "_id": 1, "own": own }, doc! { "_id": 2 }])?;
        things.update_many(&doc! { "_id": 1 }, &doc! { "$set": { "n": 1 } })?;
        things.replace_one(&doc! { "_id": 1 }, &doc! { "n": 2 }, true)?;
        things.delete_one(&doc! { "_id": 2 })?;
        metrics::gauge("level", 0.5);
        metrics::gauge("level", 1.5);
        metrics::record("seconds", 0.01);
        log::info!("{}", String::from_utf8_lossy(&response.body));
        state::set("k", b"v")?;
        Ok(())
    }
}

fn changed() -> Op {
    update("a.b", doc! { "_id": 1 }, doc! { "text": "ü" })
}

fn harness() -> Harness {
    Harness::new().server(|request| {
        let headers = vec![("X-Own".to_owned(), request.headers[0].1.clone())];
        Ok(Response { status: 201, headers, body: [&request.body[..], b"!"].concat() })
    })
}

#[test]
fn the_effects_of_a_plugin_are_recorded() {
    let mut harness = harness();
    let run = harness.run::<Busy>(&changed());
    assert_eq!(run.outcome, Some(Ok(())));
    assert_eq!(run.requests[0].body, "ü".as_bytes());
    let expected = [
        doc! { "insert": [{ "_id": 1, "own": "1" }, { "_id": 2 }] },
        doc! { "update": { "_id": 1 }, "by": { "$set": { "n": 1 } }, "many": true, "upsert": false },
        doc! { "replace": { "_id": 1 }, "by": { "n": 2 }, "upsert": true },
        doc! { "delete": { "_id": 2 }, "many": false },
    ];
    assert_eq!(run.writes, expected.map(|write| ("a.b".to_owned(), write)));
    assert_eq!((run.gauges["level"], run.recorded), (1.5, vec![("seconds".to_owned(), 0.01)]));
    assert_eq!(run.log[0].1, "ü!");
    assert_eq!(harness.state("k"), Some(&b"v"[..]));
}

#[test]
fn a_start_and_a_filter_have_no_capability_of_a_handler() {
    assert!(!harness().run::<Busy>(&insert("a.b", doc! { "_id": 1 })).wanted);
}

#[test]
fn a_write_fails_if_the_test_says_so() {
    let run = harness().failing_writes(Error::Conflict("exists".to_owned())).run::<Busy>(&changed());
    assert!(run.outcome.unwrap().unwrap_err().to_string().contains("exists"));
    assert_eq!(run.writes, []);
}
