//! The imports of the contract, by its raw bindings: a library would keep some of this from being sent.

use gtm_plugin::bindings::gtm::plugin::{config, extended_json, http, log, mail, metrics, mongodb, state};

use super::Call;
use super::random::Random;
use super::shapes::{bytes, document, json, small, stage, text, text_of, word};

/// The sum of what a call is given beyond one argument: an instance has no more memory.
const TOGETHER: usize = 24 << 20;

pub(crate) const CALLS: [Call; 27] = [
    ("extended-json.encode", |random| drop(extended_json::encode(&document(random)))),
    ("extended-json.encode-canonical", |random| drop(extended_json::encode_canonical(&document(random)))),
    ("extended-json.decode", |random| drop(extended_json::decode(&json(random)))),
    ("http.send", |random| drop(http::send(&request(random)))),
    ("http.send", |random| drop(http::send(&request(random)))),
    ("log.log", |random| {
        let level = random.pick(&[log::Level::Trace, log::Level::Debug, log::Level::Info, log::Level::Error]);
        log::log(level, &text(random));
    }),
    ("log.log many", |random| {
        (0..random.count()).for_each(|n| log::log(log::Level::Trace, &n.to_string()));
    }),
    ("mail.send", |random| drop(mail::send(&message(random)))),
    ("metrics.count", |random| metrics::count(&text(random), random.number())),
    ("metrics.count many", |random| {
        (0..random.count()).for_each(|n| metrics::count(&format!("name{n}"), 1));
    }),
    ("metrics.gauge", |random| metrics::gauge(&text(random), f64::from_bits(random.number()))),
    ("metrics.record-value", |random| metrics::record_value(&word(random), f64::from_bits(random.number()))),
    ("mongodb.find", |random| {
        let options = mongodb::FindOptions {
            projection: random.maybe(small),
            sort: random.maybe(small),
            skip: random.maybe(Random::number),
            limit: random.maybe(|random| u32::try_from(random.number() >> 32).unwrap_or_default()),
        };
        drop(mongodb::find(&namespace(random), &document(random), &options));
    }),
    ("mongodb.aggregate", |random| {
        let stages = several(random, stage);
        drop(mongodb::aggregate(&namespace(random), &stages));
    }),
    ("mongodb.aggregate one", |random| drop(mongodb::aggregate(&namespace(random), &[stage(random)]))),
    ("mongodb.insert", |random| {
        let documents = several(random, document);
        drop(mongodb::insert(&namespace(random), &documents));
    }),
    ("mongodb.update", |random| {
        let options = mongodb::UpdateOptions { many: random.one_in(2), upsert: random.one_in(2) };
        drop(mongodb::update(&namespace(random), &document(random), &document(random), options));
    }),
    ("mongodb.replace", |random| {
        drop(mongodb::replace(&namespace(random), &small(random), &document(random), random.one_in(2)));
    }),
    ("mongodb.delete", |random| {
        drop(mongodb::delete(&namespace(random), &document(random), random.one_in(2)))
    }),
    ("state.get", |random| drop(state::get(&text(random)))),
    ("state.set", |random| drop(state::set(&key(random), &bytes(random), random.maybe(Random::number)))),
    ("state.delete", |random| drop(state::delete(&key(random)))),
    ("state.compare-and-swap", |random| {
        let expected = random.maybe(bytes);
        drop(state::compare_and_swap(
            &key(random),
            expected.as_deref(),
            &bytes(random),
            random.maybe(Random::number),
        ));
    }),
    ("state.increment", |random| {
        let by = random.number().cast_signed();
        drop(state::increment(&key(random), by, random.maybe(Random::number)));
    }),
    ("state.list-entries", |random| {
        let limit = u32::try_from(random.number() >> 32).unwrap_or_default();
        drop(state::list_entries(&text(random), random.maybe(key).as_deref(), limit));
    }),
    ("state.get-quota", |_| drop(state::get_quota())),
    ("config", |random| {
        drop(config::get(&text(random)));
        drop(config::get_all());
    }),
];

/// Several of them, of a bounded size together.
fn several(random: &mut Random, make: fn(&mut Random) -> Vec<u8>) -> Vec<Vec<u8>> {
    let (count, mut room) = (random.count(), TOGETHER);
    let mut all = Vec::new();
    while all.len() < count {
        let one = make(random);
        // With what it takes to keep it.
        let Some(rest) = room.checked_sub(one.len() + 64) else { break };
        room = rest;
        all.push(one);
    }
    all
}

/// A key: one of a few, or any text.
fn key(random: &mut Random) -> String {
    match random.one_in(3) {
        true => text(random),
        false => format!("key{}", random.below(20)),
    }
}

/// A namespace: mostly one that may be granted.
fn namespace(random: &mut Random) -> String {
    let database = gtm_plugin::config::get("database").unwrap_or_default();
    match random.below(8) {
        0 if random.one_in(3) => text(random),
        1 => random.pick(&["admin.system.users", "local.oplog.rs", ".", "a.", "gtm.checkpoints"]).to_owned(),
        2 => format!("{database}.{}", word(random)),
        _ => format!("{database}.things"),
    }
}

fn request(random: &mut Random) -> http::Request {
    let base = gtm_plugin::config::get("url").unwrap_or_default();
    let url = match random.below(6) {
        0 => text(random),
        1 => format!("{base}/huge"),
        2 => format!("{base}/{}", text(random)),
        3 => format!("http://{}@localhost:1/", word(random)),
        _ => format!("{base}/a?b=c"),
    };
    let (count, length) = (random.count(), random.below(100));
    let name = random.pick(&["x-", "host", "content-length", "", "a b", "é", "x-\r\n"]);
    let header = |n: usize| (format!("{name}{n}"), "v".repeat(length));
    let headers = match random.below(4) {
        0 => vec![(word(random), text(random))],
        _ => (0..count).map(header).collect(),
    };
    http::Request {
        method: match random.one_in(4) {
            true => text(random),
            false => random.pick(&["GET", "POST", "PUT", "HEAD", "CONNECT"]).to_owned(),
        },
        url,
        headers,
        body: random.maybe(bytes),
        timeout: random.maybe(|random| u32::try_from(random.number() >> 32).unwrap_or_default()),
    }
}

fn message(random: &mut Random) -> mail::Message {
    fn address(random: &mut Random) -> String {
        match random.below(5) {
            0 => text(random),
            1 => format!("{} <a@example.com>", text(random)),
            2 => format!("a@{}.example", word(random)),
            _ => "a@example.com".to_owned(),
        }
    }
    fn addresses(random: &mut Random) -> Vec<String> {
        match random.below(4) {
            0 => (0..random.count()).map(|n| format!("a{n}@example.com")).collect(),
            1 => vec![],
            _ => vec![address(random)],
        }
    }
    mail::Message {
        from: random.maybe(address),
        to: addresses(random),
        cc: addresses(random),
        bcc: addresses(random),
        reply_to: random.maybe(address),
        subject: text(random),
        text: random.maybe(text),
        html: random.maybe(|random| {
            let size = random.size();
            text_of(random, size)
        }),
    }
}
