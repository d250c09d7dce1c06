//! Any bytes, taken as the entries of a dump: the reader neither panics nor goes round for ever.
#![no_main]

use bson::RawDocument;
use gtm_host::source::oplog::Reader;
use gtm_host::source::oplog::entry::Entry;
use gtm_host::source::{Reply, Selection};
use libfuzzer_sys::fuzz_target;

/// Bytes of open transactions, few so that the bound is met.
const HELD: usize = 1 << 10;

/// The first document of some bytes, and the rest: what its length says, or all.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let length = bytes.first_chunk().map_or(0, |length| u32::from_le_bytes(*length) as usize);
    bytes.split_at_checked(length.max(5)).unwrap_or((bytes, &[]))
}

fuzz_target!(|bytes: &[u8]| {
    let mut reader = Reader::new(Selection::everything()).holding(HELD);
    let (first, _) = split(bytes);
    let mut rest = bytes;
    while !rest.is_empty() {
        let (document, after) = split(rest);
        rest = after;
        let reply = Reply::new(document.to_vec().into());
        let Ok(document) = RawDocument::from_bytes(document) else { continue };
        let entry = match Entry::parse(document) {
            Ok(entry) => entry,
            Err(malformed) => {
                reader.malformed(&malformed);
                continue;
            }
        };
        let (mut ops, mut asked) = (Vec::new(), 0);
        while let Err(missing) = reader.read(&reply, document, &entry, &mut ops) {
            asked += 1;
            assert!(asked <= bytes.len(), "it asks for ever");
            // By turns the first entry, which may fit, and none.
            let earlier = (missing.0.increment % 2 == 0).then(|| first.to_vec().into());
            reader.supply(&entry, missing, earlier);
        }
        assert!(ops.len() <= bytes.len(), "more ops than bytes");
    }
});
