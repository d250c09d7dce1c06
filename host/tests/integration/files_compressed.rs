//! Compressed dumps: by each compression that is read, whole, cut off and damaged.

use std::io::Write;

use flate2::write::ZlibEncoder;
use gtm_source::{FileContents, FileError};

use crate::files::{dump, insert, read, read_bytes, write};

type Compress = fn(&[u8]) -> Vec<u8>;

const COMPRESSIONS: [(&str, Compress); 4] = [("zlib", zlib), ("zst", zstd), ("lz4", lz4), ("snappy", snappy)];

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn snappy(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = snap::write::FrameEncoder::new(Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.into_inner().unwrap()
}

#[tokio::test]
async fn each_compression_is_recognized_by_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    // More than a block of each.
    let plain = dump(&(1..=20_000).map(insert).collect::<Vec<_>>());
    let expected: Vec<_> = (1..=20_000).map(|n| 10 * n).collect();
    let (first, second) = plain.split_at(plain.len() / 3);
    for (name, compress) in COMPRESSIONS {
        for bytes in [compress(&plain), [compress(first), compress(second)].concat()] {
            let outcome = read_bytes(&bytes).await;
            assert!(outcome.error.is_none(), "{name}: {}", outcome.said());
            assert_eq!(outcome.ids(), expected, "{name}");
            assert_eq!(outcome.report.files[0].bytes, plain.len() as u64);
        }
        let path =
            write(&folder, &format!("shop/orders.bson.{name}"), &compress(&dump(&[bson::doc! { "_id": 5 }])));
        let outcome = read(vec![path]).await;
        assert_eq!(outcome.ids(), [5], "{name}: {}", outcome.said());
        assert!(matches!(outcome.report.files[0].contents, FileContents::Collection(_)));
        let twice = read_bytes(&compress(&zstd(&plain))).await;
        assert!(twice.said().contains("compressed twice"), "{}", twice.said());
    }
}

#[tokio::test]
async fn a_compressed_file_that_is_damaged_anywhere_is_read_up_to_there() {
    let plain = dump(&(1..=20).map(insert).collect::<Vec<_>>());
    let expected: Vec<_> = (1..=20).map(|n| 10 * n).collect();
    for (name, compress) in COMPRESSIONS {
        let whole = compress(&plain);
        for length in 10..whole.len() {
            let outcome = read_bytes(&whole[..length]).await;
            assert!(expected.starts_with(&outcome.ids()), "{name}, {length}");
            let is_whole = outcome.ids() == expected;
            assert!(is_whole || outcome.error.is_some() || outcome.ops.is_empty(), "{name}, {length}");
        }
        for place in 0..whole.len() {
            for change in [0x00, 0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[place] ^= change;
                let outcome = read_bytes(&bytes).await;
                assert!(
                    !matches!(outcome.error, Some(FileError::Ended | FileError::Thread(_))),
                    "{name}, {place}: {}",
                    outcome.said()
                );
            }
        }
    }
}

#[tokio::test]
async fn what_is_not_read_is_named() {
    for (bytes, what) in [
        (&b"\xff\x06\0\0S2sTwO and more"[..], "compressed by S2, and must be decompressed with s2d"),
        (b"\x02\x21\x4c\x18 and more", "lz4 in its legacy format, and must be decompressed with lz4 -d"),
        (b"\xfd7zXZ\0 and more", "compressed by xz, and must be decompressed"),
    ] {
        let outcome = read_bytes(bytes).await;
        assert!(matches!(outcome.error, Some(FileError::Unknown { .. })), "{}", outcome.said());
        assert!(outcome.said().contains(what), "{}", outcome.said());
    }
}
