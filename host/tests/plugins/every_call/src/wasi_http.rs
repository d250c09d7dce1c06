//! `wasi:http`, where a server is granted.

use gtm_plugin::config;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    Fields, IncomingBody, Method, OutgoingBody, OutgoingRequest, OutgoingResponse, RequestOptions, Scheme,
};

use super::shapes::{bytes, text, word};
use super::wasi::{read, write, write_parts};
use super::{Call, Random, ignore};

pub(super) const CALLS: [Call; 6] = [
    ("wasi:http fields", |random| ignore(fields(random))),
    ("wasi:http request", |random| ignore(request(random))),
    ("wasi:http send", send),
    ("wasi:http send", send),
    ("wasi:http bodies", |random| {
        let made = (0..random.below(14)).map(|_| {
            let request = OutgoingRequest::new(Fields::new());
            let body = request.body();
            if let Ok(body) = &body
                && let Ok(stream) = body.write()
            {
                write_parts(random, &stream, false);
            }
            (request, body)
        });
        // In this order: what is in a request goes first.
        made.collect::<Vec<_>>().into_iter().for_each(|(request, body)| {
            drop(body);
            drop(request);
        });
    }),
    ("wasi:http response", |random| {
        let response = OutgoingResponse::new(fields(random));
        ignore(response.set_status_code(u16::from_le_bytes([random.any().to_le_bytes()[0], 1])));
        ignore((response.body(), response.headers().entries()));
    }),
];

fn fields(random: &mut Random) -> Fields {
    let name = random.pick(&["x", "host", "content-length", "", "a b", "x-"]);
    let list: Vec<_> = match random.below(4) {
        0 => vec![(text(random), bytes(random))],
        1 => (0..random.count()).map(|n| (format!("{name}{n}"), vec![b'v'])).collect(),
        2 => (0..random.count()).map(|_| (name.to_owned(), vec![b'v'; 10])).collect(),
        _ => vec![],
    };
    let fields = Fields::from_list(&list).unwrap_or_else(|_| Fields::new());
    match random.below(5) {
        0 => ignore(fields.append(&text(random), &bytes(random))),
        1 => ignore(fields.set(&word(random), &[bytes(random), bytes(random)])),
        2 => ignore((fields.get(name), fields.has(&text(random)), fields.delete(&word(random)))),
        3 => ignore((fields.entries(), fields.clone())),
        _ => {}
    }
    fields
}

fn request(random: &mut Random) -> OutgoingRequest {
    let request = OutgoingRequest::new(fields(random));
    let url = config::get("url").unwrap_or_default();
    let server = url.trim_start_matches("http://").to_owned();
    ignore(request.set_scheme(Some(&match random.below(6) {
        0 => Scheme::Other(text(random)),
        1 => Scheme::Https,
        _ => Scheme::Http,
    })));
    ignore(request.set_authority(Some(&match random.below(5) {
        0 => text(random),
        _ => server,
    })));
    ignore(request.set_path_with_query(Some(&match random.below(4) {
        0 => text(random),
        1 => "/huge".to_owned(),
        _ => "/a?b=c".to_owned(),
    })));
    ignore(request.set_method(&match random.below(4) {
        0 => Method::Other(text(random)),
        1 => Method::Post,
        _ => Method::Get,
    }));
    ignore((request.method(), request.authority(), request.headers().entries()));
    request
}

fn send(random: &mut Random) {
    let request = request(random);
    let body = match random.one_in(2) {
        true => request.body().ok(),
        false => None,
    };
    let options = RequestOptions::new();
    ignore(options.set_connect_timeout(Some(random.number())));
    ignore(options.set_first_byte_timeout(Some(random.number())));
    ignore(options.set_between_bytes_timeout(Some(random.number())));
    let Ok(future) = handle(request, Some(options)) else { return };
    if let Some(body) = body {
        if let Ok(stream) = body.write() {
            write(random, &stream);
        }
        // Sometimes it is never said that this was all of it.
        match random.one_in(3) {
            true => drop(body),
            false => ignore(OutgoingBody::finish(body, random.one_in(3).then(|| fields(random)))),
        }
    }
    // In `filter` it is not waited for.
    if random.one_in(4) {
        return;
    }
    let response = loop {
        match future.get() {
            Some(Ok(Ok(response))) => break response,
            Some(_) => return,
            None => future.subscribe().block(),
        }
    };
    ignore((response.status(), response.headers().entries()));
    let Ok(body) = response.consume() else { return };
    if let Ok(stream) = body.stream() {
        read(random, &stream);
    }
    ignore(IncomingBody::finish(body));
}
