//! Recognizes what a file contains by its first bytes. Pure.

use super::archive::MAGIC;
use super::compression::{GZIP, LZ4, SNAPPY, ZSTD};

/// The maximum size of a document of a dump, in bytes: what a server stores, and what it writes around that.
pub(super) const MAX_DOCUMENT_SIZE: usize = (16 << 20) + (16 << 10);

/// The format of the documents of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DocumentFormat {
    /// BSON, one document after another.
    Bson,
    /// Extended JSON, one after another or in an array.
    Json,
    /// An archive of `mongodump`.
    Archive,
}

const TWICE: &str = "compressed twice, and must be decompressed once";
const WIRED_TIGER: &str = "a file of WiredTiger, from a server's own directory, and not a dump by mongodump";
const UTF_16: &str = "text in UTF-16, and not in UTF-8";

/// The found text of a plugin.
pub(super) const WEB_ASSEMBLY: &str = "a WebAssembly module";

/// Files that are not read, by their bytes at an offset.
const OTHERS: [(usize, &[u8], &str); 16] = [
    (0, GZIP, TWICE),
    (0, ZSTD, TWICE),
    (0, LZ4, TWICE),
    (0, SNAPPY, TWICE),
    (0, &[0x41, 0xd8, 0x01, 0x00, 0x01, 0x00, 0x00, 0x00], WIRED_TIGER),
    (0, b"WiredTiger", WIRED_TIGER),
    (0, b"\0asm", WEB_ASSEMBLY),
    (0, b"PK\x03\x04", "a zip archive, and must be unpacked"),
    (0, &[0xfd, b'7', b'z', b'X', b'Z', 0], "compressed by xz, and must be decompressed"),
    (0, b"BZh", "compressed by bzip2, and must be decompressed"),
    (
        0,
        &[0xff, 0x06, 0x00, 0x00, b'S', b'2', b's', b'T', b'w', b'O'],
        "compressed by S2, and must be decompressed with s2d, or the backup made with another compression",
    ),
    (
        0,
        &[0x02, 0x21, 0x4c, 0x18],
        "compressed by lz4 in its legacy format, and must be decompressed with lz4 -d",
    ),
    (257, b"ustar", "a tar archive, and must be unpacked"),
    (0, &[0xff, 0xfe], UTF_16),
    (0, &[0xfe, 0xff], UTF_16),
    (0, b"%PDF", "a PDF"),
];

/// Returns the format of the documents in a file that begins with `head`. None: the file is empty.
///
/// # Errors
/// The file is not a dump. The error names its likely format.
pub(super) fn recognize(head: &[u8]) -> Result<Option<DocumentFormat>, &'static str> {
    let other =
        |(at, mark, _): &&(usize, &[u8], &str)| head.get(*at..).is_some_and(|head| head.starts_with(mark));
    if let Some((_, _, what)) = OTHERS.iter().find(other) {
        return Err(what);
    }
    if head.starts_with(&MAGIC) {
        return Ok(Some(DocumentFormat::Archive));
    }
    // JSON comes after BSON: no four characters of JSON are a valid length of a document.
    if is_bson(head) {
        return Ok(Some(DocumentFormat::Bson));
    }
    let text = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
    match text.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => Ok(None),
        Some(b'{' | b'[') => Ok(Some(DocumentFormat::Json)),
        // A document in a string.
        Some(b'"') if text.trim_ascii_start().starts_with(b"\"{") => Ok(Some(DocumentFormat::Json)),
        // Too short to decide: the first document is truncated.
        Some(_) if head.len() < 5 => Ok(Some(DocumentFormat::Bson)),
        Some(_)
            if std::str::from_utf8(head.get(..head.len().saturating_sub(3)).unwrap_or_default()).is_ok()
                && !head.contains(&0) =>
        {
            Err("text, but not Extended JSON, which begins with {")
        }
        Some(_) => Err("in no known format"),
    }
}

/// The bytes that some programs write before text in UTF-8.
pub(super) const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// Returns whether the bytes are a valid length of a document, and the type of its first field or its end.
pub(super) fn is_bson(head: &[u8]) -> bool {
    let length = head.first_chunk().and_then(|length| usize::try_from(i32::from_le_bytes(*length)).ok());
    match (length, head.get(4)) {
        (Some(5), Some(0)) => true,
        (Some(length), Some(kind)) => {
            (6..=MAX_DOCUMENT_SIZE).contains(&length) && bson::spec::ElementType::from(*kind).is_some()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_recognized_by_its_bytes() {
        let bson =
            |length: i32, kind| Vec::from_iter(length.to_le_bytes().into_iter().chain([kind, b'a', 0]));
        for (head, kind) in [
            (bson(5, 0), Some(DocumentFormat::Bson)),
            (bson(300, 3), Some(DocumentFormat::Bson)),
            // Its first byte is {.
            (bson(0x7b, 2), Some(DocumentFormat::Bson)),
            (bson(MAX_DOCUMENT_SIZE as i32, 0xff), Some(DocumentFormat::Bson)),
            (b"{\"a\":1}".to_vec(), Some(DocumentFormat::Json)),
            (b"{}".to_vec(), Some(DocumentFormat::Json)),
            (b" \r\n\t[{}]".to_vec(), Some(DocumentFormat::Json)),
            (b"\xef\xbb\xbf{}".to_vec(), Some(DocumentFormat::Json)),
            (b"\n\"{\\\"_id\\\":1}\"".to_vec(), Some(DocumentFormat::Json)),
            (b"\x6d\xe2\x99\x81rest".to_vec(), Some(DocumentFormat::Archive)),
            // A length of 376 bytes, which is also how zlib begins.
            (bson(0x178, 2), Some(DocumentFormat::Bson)),
            (Vec::new(), None),
            (b" \n\n \n \n".to_vec(), None),
        ] {
            assert_eq!(recognize(&head), Ok(kind), "{head:?}");
        }
    }

    #[test]
    fn a_file_that_is_not_a_dump_is_named() {
        let bson =
            |length: i32, kind| Vec::from_iter(length.to_le_bytes().into_iter().chain([kind, b'a', 0]));
        let mut tar = vec![0; 512];
        tar[..9].copy_from_slice(b"dump/a.b\0");
        tar[257..262].copy_from_slice(b"ustar");
        for (head, what) in [
            (b"\xff\x06\0\0S2sTwOrest".to_vec(), "s2d"),
            (b"\x28\xb5\x2f\xfdrest".to_vec(), "compressed twice"),
            (b"\"_id\",\"name\"\n".to_vec(), "text, but"),
            (b"\x41\xd8\x01\0\x01\0\0\0rest".to_vec(), "WiredTiger"),
            (b"\0asm\x01\0\0\0".to_vec(), "WebAssembly"),
            (b"PK\x03\x04rest".to_vec(), "zip"),
            (tar, "tar"),
            (b"_id,name\n1,x\n".to_vec(), "text, but"),
            (bson(0, 1), "in no known format"),
            (bson(-1, 1), "in no known format"),
            (bson(4, 1), "in no known format"),
            (bson(MAX_DOCUMENT_SIZE as i32 + 1, 1), "in no known format"),
            (bson(300, 0x20), "in no known format"),
        ] {
            assert!(recognize(&head).unwrap_err().contains(what), "{head:?}");
        }
    }
}
