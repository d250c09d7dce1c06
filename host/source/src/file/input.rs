//! Opens a file and reads it ahead in blocks, on a thread of its own.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};

use bytes::{Bytes, BytesMut};

use super::compression::Compression;
use super::error::{FileError, name};

/// The size of a block in bytes: small enough to still be in the cache of a processor when it is decoded.
const BLOCK_SIZE: usize = 512 << 10;
/// The number of blocks that are read ahead.
const READ_AHEAD: usize = 2;
/// The number of bytes by which a file is recognized: the magic number of a tar archive ends at the 262nd.
const HEAD_SIZE: usize = 512;
/// The number of bytes per call of the decompressor. At most as many before damaged data may be lost.
const STEP_SIZE: usize = 4 << 10;

/// Checks that a file exists and may be read.
pub(super) fn check(path: &Path) -> Result<(), FileError> {
    if path.as_os_str() == "-" {
        return Ok(());
    }
    let unreadable = |reason| FileError::Unreadable { file: name(path), reason };
    let kind = path.metadata().map_err(unreadable)?.file_type();
    if kind.is_dir() {
        return Err(FileError::Directory { file: name(path) });
    }
    // A pipe that is opened and closed ends the program that writes to it.
    if kind.is_file() {
        File::open(path).map_err(unreadable)?;
    }
    Ok(())
}

/// An open file, whose first bytes were read.
pub(super) struct FileInput {
    /// The first bytes, uncompressed. If there are fewer than [`HEAD_SIZE`], the file has no more.
    pub(super) head: Vec<u8>,
    /// Whether the file is compressed.
    pub(super) compressed: bool,
    /// The error after the first bytes.
    failed: Option<io::Error>,
    rest: Box<dyn Read + Send>,
}

impl FileInput {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut rest: Box<dyn Read + Send> = match path.to_str() {
            Some("-") => Box::new(io::stdin()),
            _ => Box::new(File::open(path)?),
        };
        let (head, failed) = first(&mut rest);
        let Some(compression) = Compression::of(&head).filter(|_| failed.is_none()) else {
            return Ok(Self { head, compressed: false, failed, rest });
        };
        let file = BufReader::with_capacity(BLOCK_SIZE, Cursor::new(head).chain(rest));
        let mut rest = compression.decompress(Box::new(file))?;
        let (head, failed) = first(&mut rest);
        Ok(Self { head, compressed: true, failed, rest })
    }

    /// Starts to read the file ahead, from its beginning.
    pub(super) fn blocks(self) -> io::Result<Blocks> {
        let (sender, read) = mpsc::sync_channel(READ_AHEAD);
        let (used, reusable) = mpsc::channel();
        let thread = std::thread::Builder::new().name("read files".to_owned());
        thread.spawn(move || self.read_all(&sender, &reusable))?;
        Ok(Blocks { read, used })
    }

    /// Reads until the end, an error, or until the receiver is dropped.
    fn read_all(mut self, sender: &SyncSender<io::Result<BytesMut>>, reusable: &Receiver<BytesMut>) {
        let mut full = BytesMut::from(self.head.as_slice());
        loop {
            if !full.is_empty() && sender.send(Ok(full)).is_err() {
                return;
            }
            if let Some(error) = self.failed.take() {
                // The receiver may be dropped.
                let _ = sender.send(Err(error));
                return;
            }
            full = reusable.try_recv().unwrap_or_default();
            full.resize(BLOCK_SIZE, 0);
            let count = self.read(&mut full);
            full.truncate(count);
            if count == 0 && self.failed.is_none() {
                return;
            }
        }
    }

    /// Reads into a block, and returns how many bytes. An error is kept for later.
    fn read(&mut self, block: &mut [u8]) -> usize {
        if !self.compressed {
            // A pipe may have more bytes only later.
            return read(&mut self.rest, block, &mut self.failed);
        }
        let mut filled = 0;
        for step in block.chunks_mut(STEP_SIZE) {
            let count = read_all_of(&mut self.rest, step, &mut self.failed);
            filled += count;
            if count < step.len() {
                break;
            }
        }
        filled
    }
}

/// Returns the first bytes of a file, and the error after them.
fn first(from: &mut impl Read) -> (Vec<u8>, Option<io::Error>) {
    let (mut head, mut failed) = (vec![0; HEAD_SIZE], None);
    let count = read_all_of(from, &mut head, &mut failed);
    head.truncate(count);
    (head, failed)
}

/// Reads until a block is full, or up to the end or an error.
fn read_all_of(from: &mut impl Read, mut block: &mut [u8], failed: &mut Option<io::Error>) -> usize {
    let size = block.len();
    while !block.is_empty() {
        let count = read(from, block, failed);
        block = block.get_mut(count..).unwrap_or_default();
        if count == 0 {
            break;
        }
    }
    size - block.len()
}

/// Reads once. Returns 0 at the end and on an error, which is kept.
fn read(from: &mut impl Read, block: &mut [u8], failed: &mut Option<io::Error>) -> usize {
    loop {
        match from.read(block) {
            Ok(count) => return count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                *failed = Some(error);
                return 0;
            }
        }
    }
}

/// The blocks of a file in order, up to the end or an error.
pub(super) struct Blocks {
    read: Receiver<io::Result<BytesMut>>,
    used: Sender<BytesMut>,
}

impl Blocks {
    /// Returns the next block. None: there are no more.
    pub(super) fn next(&self) -> Option<io::Result<Bytes>> {
        Some(self.read.recv().ok()?.map(BytesMut::freeze))
    }

    /// Gives a block back for another read, if no op has a slice of it.
    pub(super) fn give_back(&self, block: Bytes) {
        if let Ok(block) = block.try_into_mut() {
            // At the end, the receiver is dropped.
            let _ = self.used.send(block);
        }
    }
}
