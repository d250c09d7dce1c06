//! Recognizes how a file is compressed by its first bytes, and decompresses it.

use std::io::{self, BufRead, Read};

use flate2::bufread::{MultiGzDecoder, ZlibDecoder};

use super::kind::is_bson;

/// A compressed file.
pub(super) type Compressed = Box<dyn BufRead + Send>;

/// The magic number of gzip (RFC 1952).
pub(super) const GZIP: &[u8] = &[0x1f, 0x8b];
/// The magic number of zstd (RFC 8878).
pub(super) const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// The magic number of the frame format of LZ4.
pub(super) const LZ4: &[u8] = &[0x04, 0x22, 0x4d, 0x18];
/// The magic number of the framing format of snappy.
pub(super) const SNAPPY: &[u8] = &[0xff, 0x06, 0x00, 0x00, b's', b'N', b'a', b'P', b'p', b'Y'];
/// The extensions of compressed files.
const ENDINGS: [&str; 8] = [".gz", ".zst", ".zstd", ".lz4", ".snappy", ".sz", ".zlib", ".zz"];

/// The compression of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zlib,
    Zstd,
    Lz4,
    Snappy,
}

impl Compression {
    /// Returns the compression of a file that begins with `head`. None: it is not compressed, or in an unknown way.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let magic_numbers = [
            (GZIP, Self::Gzip),
            (ZSTD, Self::Zstd),
            (LZ4, Self::Lz4),
            (SNAPPY, Self::Snappy),
            // A document may have a length that begins with the same bytes.
            (&[0x78, 0x01], Self::Zlib),
            (&[0x78, 0x5e], Self::Zlib),
            (&[0x78, 0x9c], Self::Zlib),
            (&[0x78, 0xda], Self::Zlib),
        ];
        let (_, compression) = magic_numbers.into_iter().find(|(magic, _)| head.starts_with(magic))?;
        (compression != Self::Zlib || !is_bson(head)).then_some(compression)
    }

    /// Decompresses a file, which may contain several compressed files one after another.
    pub(super) fn decompress(self, file: Compressed) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(file)),
            Self::Zlib => Box::new(CompressedMembers::<ZlibDecoder<Compressed>>::of(file)),
            Self::Zstd => Box::new(zstd::Decoder::with_buffer(file)?),
            Self::Lz4 => Box::new(CompressedMembers::<lz4_flex::frame::FrameDecoder<Compressed>>::of(file)),
            Self::Snappy => Box::new(snap::read::FrameDecoder::new(file)),
        })
    }
}

/// Returns the name of a file without the extension of its compression.
pub(super) fn without_ending(name: &str) -> &str {
    ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name)
}

/// A decompressor of one compressed file, which another file may follow.
trait CompressedMember: Read {
    fn begin(file: Compressed) -> Self;
    fn end(self) -> Compressed;
}

impl CompressedMember for ZlibDecoder<Compressed> {
    fn begin(file: Compressed) -> Self {
        Self::new(file)
    }

    fn end(self) -> Compressed {
        self.into_inner()
    }
}

impl CompressedMember for lz4_flex::frame::FrameDecoder<Compressed> {
    fn begin(file: Compressed) -> Self {
        Self::new(file)
    }

    fn end(self) -> Compressed {
        self.into_inner()
    }
}

/// Decompresses files one after another.
struct CompressedMembers<M>(Option<M>);

impl<M: CompressedMember> CompressedMembers<M> {
    fn of(file: Compressed) -> Self {
        Self(Some(M::begin(file)))
    }
}

impl<M: CompressedMember> Read for CompressedMembers<M> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let count = member.read(bytes)?;
            if count > 0 || bytes.is_empty() {
                return Ok(count);
            }
            let Some(mut file) = self.0.take().map(M::end) else { break };
            if !file.fill_buf()?.is_empty() {
                self.0 = Some(M::begin(file));
            }
        }
        Ok(0)
    }
}
