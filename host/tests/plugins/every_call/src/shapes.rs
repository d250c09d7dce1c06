//! Arguments: bytes, texts, JSON and BSON of every shape, right or wrong.

use gtm_plugin::bson::{self, Bson, doc};

use super::random::Random;

/// What a text is made of.
const PIECES: [&str; 20] = [
    "a",
    "0",
    " ",
    "\0",
    "\u{1b}[2J",
    "\r",
    "\r\n",
    "\n",
    "\u{202e}",
    "\u{2028}",
    "é",
    "\u{10ffff}",
    "\"\\",
    "{",
    "[",
    "$where",
    "../",
    "%00",
    "a.",
    "@",
];
/// Of the places where a text is read as a number, a date or a key.
const VALUES: [&str; 12] = [
    "$oid",
    "$date",
    "$numberInt",
    "$numberLong",
    "$numberDouble",
    "$numberDecimal",
    "$binary",
    "$timestamp",
    "$code",
    "$document",
    "$regularExpression",
    "$uuid",
];

pub(crate) fn bytes(random: &mut Random) -> Vec<u8> {
    let (size, start) = (random.size(), random.any());
    match random.below(3) {
        0 => vec![start.to_le_bytes()[0]; size],
        _ => (0..size).map(|n| (start >> (n % 57)).to_le_bytes()[0]).collect(),
    }
}

/// A text of about so many bytes.
pub(crate) fn text_of(random: &mut Random, size: usize) -> String {
    if size < 64 {
        return (0..size).map(|_| random.pick(&PIECES)).collect();
    }
    let piece = random.pick(&PIECES);
    piece.repeat(size.div_ceil(piece.len()))
}

pub(crate) fn text(random: &mut Random) -> String {
    let size = random.size();
    text_of(random, size)
}

/// A text of some dozen bytes.
pub(crate) fn word(random: &mut Random) -> String {
    let size = random.below(40);
    text_of(random, size)
}

pub(crate) fn json(random: &mut Random) -> String {
    let size = random.size();
    let deep = |open: &str, inner: &str, close: &str, count: usize| {
        format!("{}{inner}{}", open.repeat(count), close.repeat(count))
    };
    let value = random.pick(&VALUES);
    match random.below(14) {
        0 => text(random),
        1 => deep("{\"a\":", "1", "}", size / 6),
        2 => format!("{{\"a\":{}}}", deep("[", "", "]", size / 2)),
        3 => format!("{{\"a\":[{}1]}}", "1,".repeat(size / 2)),
        4 => format!("{{{}\"a\":1}}", "\"a\":1,".repeat(size / 6)),
        5 => format!("{{\"a\":{}}}", "9".repeat(size)),
        6 => format!("{{\"a\":{{\"{value}\":\"{}\"}}}}", "9".repeat(size)),
        7 => format!("{{\"a\":\"{}\"}}", random.pick(&["\\u0000", "\\ud800", "\\n", "\\x"]).repeat(size / 6)),
        8 => format!("{{\"{}\":1}}", "k".repeat(size)),
        9 => deep(&format!("{{\"{value}\":"), "{}", "}", size / 12),
        10 => deep("{\"$code\":\"\",\"$scope\":", "{}", "}", size / 24),
        11 => format!("{{\"a\":[{}{{}}]}}", format!("{{\"{value}\":{{}}}},").repeat(size / 16)),
        12 => format!(
            "{{\"a\":{{\"$binary\":{{\"base64\":\"{}\",\"subType\":\"00\"}}}}}}",
            "AAAA".repeat(size / 4)
        ),
        _ => format!("{}{{\"a\":1}}{}", " ".repeat(size), word(random)),
    }
}

/// Documents in each other, each in a field `a` of this type.
fn nested(kind: u8, levels: usize) -> Vec<u8> {
    let has_code = kind == 0x0f;
    let more = if has_code { 17 } else { 8 };
    let mut bytes = Vec::with_capacity(5 + more * levels);
    for level in 0..levels {
        let length = u32::try_from(5 + more * (levels - level)).unwrap_or_default();
        bytes.extend(length.to_le_bytes());
        bytes.extend([kind, b'a', 0]);
        if has_code {
            bytes.extend((length - 8).to_le_bytes());
            bytes.extend([1, 0, 0, 0, 0]);
        }
    }
    bytes.extend([5, 0, 0, 0, 0]);
    bytes.resize(bytes.len() + levels, 0);
    bytes
}

/// A document of many fields of this name.
fn wide(name: &str, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    for n in 0..count {
        bytes.push(0x08);
        bytes.extend(name.bytes());
        if name.is_empty() {
            bytes.extend(n.to_string().bytes());
        }
        bytes.extend([0, 1]);
    }
    bytes.push(0);
    with_length(bytes)
}

fn with_length(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or_default().to_le_bytes();
    bytes[..4].copy_from_slice(&length);
    bytes
}

/// A document that is right.
pub(crate) fn small(random: &mut Random) -> Vec<u8> {
    let text = word(random).replace('\0', "");
    let document = match random.below(5) {
        0 => doc! {},
        1 => doc! { "_id": random.any().cast_signed() },
        2 => doc! { text.clone(): text },
        3 => doc! { "a": [1, 2.5, Bson::Null, true, { "$date": "x" }], "b": bson::DateTime::MAX },
        _ => doc! { "a": { "$where": "x" }, "$or": [{ "a": { "$regex": text } }] },
    };
    bson::serialize_to_vec(&document).unwrap_or_default()
}

/// A document that is right, or wrong in one place.
pub(crate) fn document(random: &mut Random) -> Vec<u8> {
    let size = random.size();
    let mut bytes = match random.below(9) {
        0 => bytes(random),
        1 => nested(random.pick(&[3, 4, 0x0f]), size / 17),
        2 => wide("", size / 8),
        3 => wide("a", size / 4),
        4 => {
            let text = text_of(random, size);
            bson::serialize_to_vec(&doc! { "a": text }).unwrap_or_default()
        }
        _ => small(random),
    };
    match random.below(6) {
        0 if !bytes.is_empty() => {
            let at = random.below(bytes.len());
            bytes[at] ^= random.any().to_le_bytes()[0] | 1;
        }
        1 => bytes.truncate(random.below(bytes.len() + 1)),
        2 => bytes.extend(random.any().to_le_bytes()),
        _ => {}
    }
    bytes
}

/// A stage of a pipeline.
pub(crate) fn stage(random: &mut Random) -> Vec<u8> {
    let inner = |random: &mut Random| {
        let levels = random.below(30);
        (0..levels).fold(Bson::Array(vec![]), |inner, _| {
            Bson::Array(vec![doc! { "$lookup": { "from": "things", "as": "x", "pipeline": inner } }.into()])
        })
    };
    let stage = match random.below(8) {
        0 => doc! { "$match": {} },
        1 => doc! { "$lookup": { "from": "secrets", "as": "x" } },
        2 => doc! { "$facet": { "a": inner(random), "b": inner(random) } },
        3 => doc! { "$unionWith": { "coll": word(random).replace('\0', ""), "pipeline": inner(random) } },
        4 => doc! { "$limit": 10 },
        5 => doc! { word(random).replace('\0', ""): {} },
        6 => doc! { "$merge": "things" },
        _ => return document(random),
    };
    bson::serialize_to_vec(&stage).unwrap_or_default()
}
