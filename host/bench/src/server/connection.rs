//! One connection: reads commands and replies to them.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use bson::{DateTime, Document, RawArrayBuf, RawDocument, RawDocumentBuf, doc, rawdoc};

use super::message::Request;
use super::stream::Stream;
use super::{Shared, index_of, timestamp};

/// How long a `getMore` without `maxTimeMS` waits.
const DEFAULT_AWAIT_TIME: Duration = Duration::from_secs(1);
const COMMAND_NOT_FOUND: i32 = 59;
const CURSOR_NOT_FOUND: i32 = 43;

/// Replies to commands until the client disconnects, or sends something else.
pub(super) fn serve(stream: &TcpStream, shared: &Shared) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let (mut from, mut to) = (BufReader::new(stream), stream);
    while let Some(request) = Request::read(&mut from)? {
        let name = request.command.iter_elements().next().context("a command")??.key().to_string();
        let is_oplog = request.command.get_str(&name).ok() == Some("oplog.rs");
        match name.as_str() {
            "find" if is_oplog && !is_single(&request.command) => {
                shared
                    .first_read
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get_or_insert_with(Instant::now);
                let next = first_wanted(&request.command).map_or(0, index_of);
                let batch_size = number(&request.command, "batchSize");
                batch(
                    &request,
                    &mut to,
                    &shared.open(Stream::new(next, batch_size)),
                    shared,
                    Duration::ZERO,
                )?;
            }
            "getMore" => match request.command.get_i64("getMore").ok().and_then(|id| shared.cursor(id)) {
                Some(cursor) => {
                    let wait = number(&request.command, "maxTimeMS")
                        .map_or(DEFAULT_AWAIT_TIME, Duration::from_millis);
                    batch(&request, &mut to, &cursor, shared, wait)?;
                }
                None => request.reply(&mut to, &failure(CURSOR_NOT_FOUND, "CursorNotFound")?)?,
            },
            "find" => request.reply(&mut to, &found(&request.command, is_oplog, shared)?)?,
            "killCursors" => {
                let killed: Vec<_> = request
                    .command
                    .get_array("cursors")?
                    .into_iter()
                    .filter_map(|id| id.ok()?.as_i64())
                    .collect();
                shared.close(&killed);
                let none = Vec::<i64>::new();
                let answer = doc! { "cursorsKilled": killed, "cursorsNotFound": &none, "cursorsAlive": &none, "cursorsUnknown": &none, "ok": 1.0 };
                request.reply(&mut to, &RawDocumentBuf::try_from(&answer)?)?;
            }
            _ => request.reply(&mut to, &RawDocumentBuf::try_from(&answer(&name, shared))?)?,
        }
    }
    Ok(())
}

/// Replies with the next entries. It locks the cursor until all of them are sent, as another connection may already ask for more.
fn batch(
    request: &Request,
    to: &mut impl Write,
    cursor: &Mutex<Stream>,
    shared: &Shared,
    wait: Duration,
) -> anyhow::Result<()> {
    let mut stream = cursor.lock().unwrap_or_else(PoisonError::into_inner);
    let reply = stream.reply(&shared.entries, shared.pace, wait)?;
    let header = request.message_header(reply.len())?;
    to.write_all(&header)?;
    to.write_all(reply)?;
    Ok(())
}

fn is_single(find: &RawDocument) -> bool {
    number(find, "limit") == Some(1) || find.get_bool("singleBatch").unwrap_or(false)
}

fn number(command: &RawDocument, name: &str) -> Option<u64> {
    let value = command.get(name).ok()??;
    let number = value.as_i64().or(value.as_i32().map(i64::from))?;
    u64::try_from(number).ok()
}

/// Returns the first `ts` that the query asks for.
fn first_wanted(find: &RawDocument) -> Option<bson::Timestamp> {
    let ts = find.get_document("filter").ok()?.get_document("ts").ok()?;
    ts.get_timestamp("$gte").ok().or_else(|| {
        let bson::Timestamp { time, increment } = ts.get_timestamp("$gt").ok()?;
        Some(bson::Timestamp { time, increment: increment + 1 })
    })
}

/// Returns the reply to a query without a cursor: an entry, or documents by their `_id`.
fn found(find: &RawDocument, is_oplog: bool, shared: &Shared) -> anyhow::Result<RawDocumentBuf> {
    let mut documents = RawArrayBuf::new();
    let filter = find.get_document("filter").ok();
    if is_oplog {
        let written = shared.pace.written(shared.entries.len());
        let is_last = find
            .get_document("hint")
            .or_else(|_| find.get_document("sort"))
            .ok()
            .is_some_and(|order| order.get_i32("$natural").ok() == Some(-1));
        let at = filter.and_then(|filter| filter.get_timestamp("ts").ok());
        let index = match at {
            Some(at) => Some(index_of(at)).filter(|index| timestamp(*index) == at),
            None if is_last => written.checked_sub(1),
            None => Some(0),
        };
        if let Some(index) = index.filter(|index| *index < written) {
            let mut stream = Stream::new(index, Some(1));
            let reply = stream.reply(&shared.entries, shared.pace, Duration::ZERO)?;
            return single(RawDocument::from_bytes(reply)?);
        }
    } else if let Some(ids) = filter.and_then(|filter| filter.get_document("_id").ok()?.get_array("$in").ok())
    {
        let template = &shared.entries.document;
        for id in ids.into_iter() {
            let Some(id) = id?.as_i64() else { continue };
            let mut document = template.bytes.clone();
            for at in &template.numbers {
                if let Some(place) = document.get_mut(*at..).and_then(|rest| rest.first_chunk_mut()) {
                    *place = id.to_le_bytes();
                }
            }
            documents.push(RawDocumentBuf::from_bytes(document)?);
        }
    }
    let database = find.get_str("$db").unwrap_or("local");
    let namespace = format!("{database}.{}", find.get_str("find").unwrap_or_default());
    Ok(rawdoc! { "cursor": { "firstBatch": documents, "id": 0_i64, "ns": namespace }, "ok": 1.0 })
}

/// Returns the reply of a cursor as one that leaves no cursor open.
fn single(reply: &RawDocument) -> anyhow::Result<RawDocumentBuf> {
    let batch = reply.get_document("cursor")?.get_array("firstBatch")?.to_owned();
    Ok(rawdoc! { "cursor": { "firstBatch": batch, "id": 0_i64, "ns": "local.oplog.rs" }, "ok": 1.0 })
}

fn answer(command: &str, shared: &Shared) -> Document {
    match command {
        "hello" | "isMaster" | "ismaster" => hello(shared),
        "ping" | "endSessions" => doc! { "ok": 1.0 },
        "buildInfo" | "buildinfo" => doc! { "version": "8.0.0", "versionArray": [8, 0, 0, 0], "ok": 1.0 },
        _ => {
            doc! { "ok": 0.0, "errmsg": format!("no such command: {command}"), "code": COMMAND_NOT_FOUND, "codeName": "CommandNotFound" }
        }
    }
}

fn failure(code: i32, name: &str) -> anyhow::Result<RawDocumentBuf> {
    Ok(RawDocumentBuf::try_from(&doc! { "ok": 0.0, "errmsg": name, "code": code, "codeName": name })?)
}

fn hello(shared: &Shared) -> Document {
    let address = shared.address.to_string();
    let last = shared.pace.written(shared.entries.len()).saturating_sub(1);
    let last = doc! { "ts": timestamp(last), "t": 1_i64 };
    doc! {
        "helloOk": true, "isWritablePrimary": true, "ismaster": true, "secondary": false, "setName": "replay", "setVersion": 1,
        "hosts": [&address], "me": &address, "primary": &address,
        "lastWrite": { "opTime": &last, "majorityOpTime": &last, "lastWriteDate": DateTime::now() },
        "maxBsonObjectSize": 16 * 1024 * 1024, "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000,
        "localTime": DateTime::now(), "logicalSessionTimeoutMinutes": 30, "connectionId": 1, "minWireVersion": 0, "maxWireVersion": 25,
        "readOnly": false, "ok": 1.0,
    }
}
