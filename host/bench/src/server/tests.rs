use bson::{RawDocument, Timestamp};
use gtm_oplog::OplogEntry;

use super::entries::{CYCLE, Entries};
use super::*;

fn options(count: u64, size: usize, mix: Mix) -> Options {
    Options { count, size, mix, rate: None, port: 0 }
}

#[test]
fn entries_can_be_parsed_and_have_their_size() {
    for (mix, size) in [(Mix::Mixed, 300), (Mix::Inserts, 300), (Mix::Mixed, 4096), (Mix::Mixed, 65536)] {
        let entries = Entries::new(mix, size, CYCLE).unwrap();
        let (mut users, mut updates) = (0, 0);
        for index in 0..CYCLE {
            let template = entries.template(index);
            let document = RawDocument::from_bytes(&template.bytes).unwrap();
            let entry = OplogEntry::parse(document).unwrap();
            users += u64::from((entry.kind, entry.namespace) == ("i", "users.users"));
            updates += u64::from(entry.kind == "u");
            assert_eq!(template.times.len(), 1, "{entry:?}");
            if matches!(entry.kind, "i" | "u") {
                // An entry without text may be larger than the size.
                assert!(
                    (size..size + 64).contains(&template.bytes.len()),
                    "{size}: {} {entry:?}",
                    template.bytes.len()
                );
            }
        }
        assert_eq!(users, CYCLE / 10);
        assert_eq!(updates > 0, mix == Mix::Mixed);
    }
}

#[test]
fn times_grow_and_identify_an_entry() {
    for index in [0, 1, PER_SECOND - 1, PER_SECOND, 3 * PER_SECOND + 7] {
        assert!(timestamp(index) < timestamp(index + 1));
        assert_eq!(index_of(timestamp(index)), index);
    }
    assert_eq!(index_of(Timestamp { time: 0, increment: 0 }), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_driver_reads_all_entries_and_from_any_time_on() {
    for (size, batch_size) in [(300, None), (300, Some(77)), (65536, None)] {
        let server = Server::start(options(1234, size, Mix::Mixed)).unwrap();
        let begin = Timestamp { time: 0, increment: 0 };
        let drained = crate::bare::drain(&server.uri(), begin, batch_size, false).await.unwrap();
        assert_eq!(drained.entries, 1234 + END);
        let rest = crate::bare::drain(&server.uri(), timestamp(1000), batch_size, false).await.unwrap();
        assert_eq!(rest.entries, 234 + END);
    }
}
