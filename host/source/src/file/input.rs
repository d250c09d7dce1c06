//! Opens a file and reads it ahead, in blocks, on a thread of its own.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};

use bytes::{Bytes, BytesMut};

use super::compression::Compression;
use super::error::{FileError, name};

/// Bytes read at once: few enough to be still in the cache of a processor when they are decoded.
const BLOCK: usize = 512 << 10;
/// Blocks that are read ahead.
const AHEAD: usize = 2;
/// Bytes that say what a file is: the mark of a tar archive ends at the 262nd.
const HEAD: usize = 512;
/// Bytes that are decompressed at once. Where the compressed data are damaged, so many before it may be lost.
const STEP: usize = 4 << 10;

/// Makes sure that a file is there and may be read.
pub(super) fn check(path: &Path) -> Result<(), FileError> {
    if path.as_os_str() == "-" {
        return Ok(());
    }
    let unreadable = |reason| FileError::Unreadable { file: name(path), reason };
    let kind = path.metadata().map_err(unreadable)?.file_type();
    if kind.is_dir() {
        return Err(FileError::Folder { file: name(path) });
    }
    // Who opens a pipe and closes it ends the one who writes to it.
    if kind.is_file() {
        File::open(path).map_err(unreadable)?;
    }
    Ok(())
}

/// An open file, of which the first bytes were looked at.
pub(super) struct FileInput {
    /// The first bytes, uncompressed. Fewer than [`HEAD`]: that is all.
    pub(super) head: Vec<u8>,
    /// It is compressed.
    pub(super) compressed: bool,
    /// What came instead of more.
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
        let file = BufReader::with_capacity(BLOCK, Cursor::new(head).chain(rest));
        let mut rest = compression.decompress(Box::new(file))?;
        let (head, failed) = first(&mut rest);
        Ok(Self { head, compressed: true, failed, rest })
    }

    /// Reads the file ahead, from its beginning.
    pub(super) fn blocks(self) -> io::Result<Blocks> {
        let (sender, read) = mpsc::sync_channel(AHEAD);
        let (used, again) = mpsc::channel();
        let thread = std::thread::Builder::new().name("read files".to_owned());
        thread.spawn(move || self.read_all(&sender, &again))?;
        Ok(Blocks { read, used })
    }

    /// Reads until the end, an error, or until nobody wants more.
    fn read_all(mut self, sender: &SyncSender<io::Result<BytesMut>>, again: &Receiver<BytesMut>) {
        let mut full = BytesMut::from(self.head.as_slice());
        loop {
            if !full.is_empty() && sender.send(Ok(full)).is_err() {
                return;
            }
            if let Some(error) = self.failed.take() {
                // The last word, heard or not.
                let _ = sender.send(Err(error));
                return;
            }
            full = again.try_recv().unwrap_or_default();
            full.resize(BLOCK, 0);
            let count = self.read(&mut full);
            full.truncate(count);
            if count == 0 && self.failed.is_none() {
                return;
            }
        }
    }

    /// Reads into a block, and gives back how much. An error is kept.
    fn read(&mut self, block: &mut [u8]) -> usize {
        if !self.compressed {
            // What is there now: a pipe may have more only later.
            return read(&mut self.rest, block, &mut self.failed);
        }
        let mut filled = 0;
        for step in block.chunks_mut(STEP) {
            let count = read_all_of(&mut self.rest, step, &mut self.failed);
            filled += count;
            if count < step.len() {
                break;
            }
        }
        filled
    }
}

/// The first bytes of a file, and what came instead of more.
fn first(from: &mut impl Read) -> (Vec<u8>, Option<io::Error>) {
    let (mut head, mut failed) = (vec![0; HEAD], None);
    let count = read_all_of(from, &mut head, &mut failed);
    head.truncate(count);
    (head, failed)
}

/// Reads until a block is full, at the end or an error.
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

/// Reads once. Nothing: the end, or an error, which is kept.
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

/// The blocks of a file, in their order, up to the end or an error.
pub(super) struct Blocks {
    read: Receiver<io::Result<BytesMut>>,
    used: Sender<BytesMut>,
}

impl Blocks {
    /// The next block. None: that was all.
    pub(super) fn next(&self) -> Option<io::Result<Bytes>> {
        Some(self.read.recv().ok()?.map(BytesMut::freeze))
    }

    /// Takes a block back, to be read into again where no op has a part of it.
    pub(super) fn used(&self, block: Bytes) {
        if let Ok(block) = block.try_into_mut() {
            // Nobody wants it at the end.
            let _ = self.used.send(block);
        }
    }
}
