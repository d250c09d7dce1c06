//! Decodes the documents of files into ops, on a thread of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bson::RawDocument;
use bytes::Bytes;
use gtm_oplog::broken::count_broken;
use gtm_oplog::fields::check;
use gtm_oplog::reply::id_of;
use gtm_oplog::{
    ChangeEventDecoder, Malformed, Namespace, Op, OperationType, OplogDecoder, OplogEntry, Origin, Reply,
    Selection, Skipped, Timestamp,
};
use tokio::sync::mpsc::Sender;

use super::FileOptions;
use super::archive::{Archive, ArchivePart, MAGIC, TERMINATOR};
use super::current::{Current, Documents, FileStop};
use super::error::FileError;
use super::events::{self, EventForm};
use super::frames::{Frames, Misframed};
use super::input::FileInput;
use super::kind::{DocumentFormat, WEB_ASSEMBLY, recognize};
use super::outbox::{DecodedMessage, Outbox, ReceiverGone};
use super::path::{is_metadata, namespace};
use super::report::{FileContents, FileTotals};
use super::texts::Texts;
use crate::extended_json::{op_of, time};

/// Reads files one after another.
pub(super) struct Decoder {
    /// Decodes the entries of all files, as a transaction may continue in the next file.
    entries: OplogDecoder,
    events: ChangeEventDecoder,
    /// Selects documents that are neither entries nor events.
    selection: Selection,
    options: FileOptions,
    totals: FileTotals,
    /// The ops with a broken document, which are returned too.
    broken: Skipped,
    /// The ops of one entry.
    decoded: Vec<Op>,
    outbox: Outbox,
    is_metadata_logged: bool,
}

impl Decoder {
    pub(super) fn new(selection: Selection, options: FileOptions, sender: Sender<DecodedMessage>) -> Self {
        Self {
            // Earlier entries of a dump cannot be read again, so every piece of an open transaction is held.
            entries: OplogDecoder::new(selection.clone()).for_file().with_max_held_bytes(usize::MAX),
            events: ChangeEventDecoder::new(selection.clone()).for_file(),
            selection,
            options,
            totals: FileTotals::default(),
            broken: Skipped::new(),
            decoded: Vec::new(),
            outbox: Outbox::new(sender),
            is_metadata_logged: false,
        }
    }

    /// Reads all files, up to an error, or until the receiver is dropped.
    pub(super) fn run(mut self, paths: &[PathBuf]) {
        for (index, path) in paths.iter().enumerate() {
            let mut file = Current::of(index, path);
            let ended = self.file(&mut file, path);
            if matches!(ended, Err(FileStop::Late)) {
                self.totals.after += 1;
            }
            // The ops before an error are sent before it.
            if self.send(&file).is_err() {
                return;
            }
            let error = match ended {
                Ok(()) | Err(FileStop::Late) => continue,
                Err(FileStop::Gone) => return,
                Err(FileStop::Failed(error)) => error,
                Err(FileStop::Misframed(Misframed { offset, found })) => {
                    FileError::Damaged { at: file.at(offset), found }
                }
            };
            let _ = self.outbox.send_message(DecodedMessage::Failed(error));
            return;
        }
        let _ = self.outbox.send_message(DecodedMessage::Done);
    }

    fn file(&mut self, file: &mut Current, path: &Path) -> Result<(), FileStop> {
        if is_metadata(path) {
            file.report.contents = FileContents::Metadata;
            if !std::mem::replace(&mut self.is_metadata_logged, true) {
                tracing::info!(
                    event = "file.skip",
                    file = &*file.name,
                    "skipped: it describes a dump. Further such files are not logged"
                );
            }
            return Ok(());
        }
        let input = FileInput::open(path)
            .map_err(|reason| FileError::Unreadable { file: Arc::clone(&file.name), reason })?;
        file.compressed = input.compressed;
        let name = || Arc::clone(&file.name);
        let kind = recognize(&input.head).map_err(|found| match found {
            WEB_ASSEMBLY => FileError::Plugin { file: name() },
            found => FileError::Unknown { file: name(), found },
        })?;
        let mut documents = match kind {
            Some(DocumentFormat::Bson) => Documents::Bson(Frames::default()),
            Some(DocumentFormat::Archive) => {
                file.report.contents = FileContents::Archive;
                Documents::Archive(Frames::of_archive(), Archive::default())
            }
            // A file of white space has no documents.
            Some(DocumentFormat::Json) | None => Documents::Json(Texts::default()),
        };
        let blocks = input.blocks().map_err(FileError::Thread)?;
        while let Some(block) = blocks.next() {
            let block = block.map_err(|reason| {
                let (begins, read) = documents.left();
                FileError::Broken { at: file.at(begins + read), reason }
            })?;
            let read = self.documents(file, &mut documents, &block);
            file.report.bytes = documents.left().0;
            read?;
            self.outbox.compact(block.len());
            self.send(file)?;
            blocks.give_back(block);
        }
        match documents.left() {
            (end, 0) => match documents.missing() {
                None => Ok(()),
                Some(missing) => Err(FileError::Unfinished { at: file.at(end), missing }.into()),
            },
            (begins, read) => Err(FileError::Truncated { at: file.at(begins), read }.into()),
        }
    }

    /// Decodes the documents that end in a block.
    fn documents(
        &mut self,
        file: &mut Current,
        documents: &mut Documents,
        block: &Bytes,
    ) -> Result<(), FileStop> {
        match documents {
            Documents::Bson(frames) => {
                frames.read(block, |reply, bytes, offset| self.document(file, reply, bytes, offset))
            }
            Documents::Archive(frames, archive) => frames.read(block, |reply, bytes, offset| {
                let misframed = |found| Misframed { offset, found };
                match bytes {
                    _ if bytes == MAGIC => Ok(()),
                    _ if bytes == TERMINATOR => Ok(archive.terminator().map_err(misframed)?),
                    _ => {
                        let part = archive.document(bytes).map_err(misframed)?;
                        self.archive_document(file, part, reply, bytes, offset)
                    }
                }
            }),
            Documents::Json(texts) => texts.read(block, |document, offset| match document {
                Ok(bytes) => self.document(file, &Reply::new(bytes.clone()), &bytes, offset),
                Err(reason) => {
                    file.report.documents += 1;
                    self.skip_corrupt(file, offset, &reason);
                    Ok(())
                }
            }),
        }
    }

    fn document(
        &mut self,
        file: &mut Current,
        reply: &Reply,
        bytes: &[u8],
        offset: u64,
    ) -> Result<(), FileStop> {
        file.report.documents += 1;
        let document = match RawDocument::from_bytes(bytes) {
            Ok(document) => document,
            Err(error) => {
                self.skip_corrupt(file, offset, &error.to_string());
                return Ok(());
            }
        };
        let parsed = match &file.report.contents {
            FileContents::Collection(namespace) => {
                let namespace = Arc::clone(namespace);
                return self.collection_document(file, &namespace, reply, document, offset);
            }
            FileContents::Events => return self.event(file, reply, document, offset),
            _ => OplogEntry::parse(document),
        };
        match parsed {
            Ok(entry) => {
                if file.report.contents == FileContents::Nothing {
                    file.report.contents = FileContents::Oplog;
                    tracing::info!(event = "file.detect", file = &*file.name, "it holds entries of an oplog");
                }
                self.entry(file, reply, document, &entry, offset)
            }
            // The first readable document decides what its file contains, if the user does not specify it.
            Err(Malformed::Missing(_)) if file.report.contents == FileContents::Nothing => {
                if self.options.namespace.is_none() && events::is_event(document, reply) {
                    file.report.contents = FileContents::Events;
                    tracing::info!(event = "file.detect", file = &*file.name, "it holds change events");
                    return self.event(file, reply, document, offset);
                }
                let namespace = self.namespace(file)?;
                tracing::info!(event = "file.detect", file = &*file.name, %namespace, "it holds documents");
                file.report.contents = FileContents::Collection(Arc::clone(&namespace));
                self.collection_document(file, &namespace, reply, document, offset)
            }
            Err(malformed) => {
                self.skip_corrupt(file, offset, &malformed.to_string());
                Ok(())
            }
        }
    }

    /// Decodes a document of an archive.
    fn archive_document(
        &mut self,
        file: &mut Current,
        part: ArchivePart,
        reply: &Reply,
        bytes: &[u8],
        offset: u64,
    ) -> Result<(), FileStop> {
        if part == ArchivePart::Frame {
            return Ok(());
        }
        file.report.documents += 1;
        let read = RawDocument::from_bytes(bytes).map_err(Malformed::from);
        let corrupt = match (part, read) {
            (ArchivePart::Document(namespace), Ok(document)) => {
                return self.collection_document(file, &namespace, reply, document, offset);
            }
            (_, Ok(document)) => match OplogEntry::parse(document) {
                Ok(entry) => return self.entry(file, reply, document, &entry, offset),
                Err(malformed) => malformed,
            },
            (_, Err(malformed)) => malformed,
        };
        self.skip_corrupt(file, offset, &corrupt.to_string());
        Ok(())
    }

    fn entry(
        &mut self,
        file: &Current,
        reply: &Reply,
        document: &RawDocument,
        entry: &OplogEntry<'_>,
        offset: u64,
    ) -> Result<(), FileStop> {
        if !self.advance(file, entry.timestamp, offset)? {
            self.entries.skip_entry(document, entry);
            return Ok(());
        }
        while let Err(missing) = self.entries.read(reply, document, entry, &mut self.decoded) {
            self.entries.supply(entry, missing, None);
        }
        count_broken(&self.decoded, &mut self.broken);
        self.send_decoded(file)
    }

    /// Decodes a change event, or a message that contains one.
    fn event(
        &mut self,
        file: &Current,
        reply: &Reply,
        document: &RawDocument,
        offset: u64,
    ) -> Result<(), FileStop> {
        let unreadable = match events::payload(document, reply) {
            None => self.whole_event(file, reply, document, offset)?,
            Some(Err(reason)) => Some(reason),
            Some(Ok(payload)) => {
                let reply = Reply::new(payload);
                match reply.as_document() {
                    Ok(event) => self.whole_event(file, &reply, event, offset)?,
                    Err(malformed) => Some(malformed.to_string()),
                }
            }
        };
        if let Some(reason) = unreadable {
            self.skip_corrupt(file, offset, &reason);
        }
        Ok(())
    }

    /// Decodes a change event. Returns the reason if it cannot be read.
    fn whole_event(
        &mut self,
        file: &Current,
        reply: &Reply,
        event: &RawDocument,
        offset: u64,
    ) -> Result<Option<String>, FileStop> {
        let Some(form) = events::form(event) else {
            return Ok(Some("it is not a change event".to_owned()));
        };
        if let Err(broken) = check(event) {
            return Ok(Some(broken.to_string()));
        }
        // An event without a time counts as being in order.
        let time = Some(time(event)).filter(|time| *time != Timestamp::default());
        if let Some(time) = time
            && !self.advance(file, time, offset)?
        {
            return Ok(None);
        }
        match form {
            EventForm::Event => {
                self.events.read_event(reply, event, &mut self.decoded);
                self.send_decoded(file)?;
            }
            EventForm::Line => match op_of(reply, event) {
                Ok(op) if self.selection.wants(&op) => self.add(file, op)?,
                Ok(_) => self.totals.unwanted += 1,
                Err(unreadable) => return Ok(Some(unreadable.to_string())),
            },
        }
        Ok(None)
    }

    /// Moves the position to the time of an entry or event. Returns whether its ops are wanted.
    fn advance(&mut self, file: &Current, to: Timestamp, offset: u64) -> Result<bool, FileStop> {
        if self.options.to.is_some_and(|end| to > end) {
            return Err(FileStop::Late);
        }
        if to < self.totals.position {
            self.totals.backwards += 1;
            if self.totals.backwards == 1 {
                tracing::warn!(
                    event = "file.reorder", place = %file.at(offset), timestamp = %to, before = %self.totals.position,
                    "an entry is older than one before it: is this the order of the files? It is delivered. Further such entries are \
                     counted, not logged"
                );
            }
        }
        self.totals.position = to;
        if self.options.from.is_some_and(|from| to < from) {
            self.totals.before += 1;
            return Ok(false);
        }
        Ok(true)
    }

    fn send_decoded(&mut self, file: &Current) -> Result<(), FileStop> {
        let mut decoded = std::mem::take(&mut self.decoded);
        for op in decoded.drain(..) {
            self.add(file, op)?;
        }
        self.decoded = decoded;
        Ok(())
    }

    /// Decodes a document of a collection.
    fn collection_document(
        &mut self,
        file: &Current,
        namespace: &Namespace,
        reply: &Reply,
        document: &RawDocument,
        offset: u64,
    ) -> Result<(), FileStop> {
        if let Err(broken) = check(document) {
            self.skip_corrupt(file, offset, &broken.to_string());
            return Ok(());
        }
        let Namespace { database, collection } = namespace;
        let Some(namespace) = self.selection.select(database, collection, OperationType::Insert) else {
            self.totals.unwanted += 1;
            return Ok(());
        };
        let key = id_of(document).map(|key| key.into_bytes().into());
        let op = Op::from_document(Origin::Replay, Timestamp::default(), namespace, key, reply.cut(document));
        self.add(file, op)
    }

    /// Returns the collection whose documents a file contains.
    fn namespace(&self, file: &Current) -> Result<Arc<Namespace>, FileError> {
        let named = self.options.namespace.clone().or_else(|| namespace(&file.report.path));
        named.map(Arc::new).ok_or_else(|| FileError::NoNamespace { file: Arc::clone(&file.name) })
    }

    fn skip_corrupt(&mut self, file: &Current, offset: u64, reason: &str) {
        self.totals.corrupt += 1;
        if self.totals.corrupt == 1 {
            tracing::error!(
                event = "file.skip_document", place = %file.at(offset), error = reason,
                "skipped a document that cannot be read. Further such documents are counted, not logged"
            );
        }
    }

    fn add(&mut self, file: &Current, op: Op) -> Result<(), FileStop> {
        if self.outbox.add(op) { Ok(self.send(file)?) } else { Ok(()) }
    }

    fn send(&mut self, file: &Current) -> Result<(), ReceiverGone> {
        let mut totals = self.totals.clone();
        totals.skipped = self.entries.skipped().clone();
        for (skip, count) in self.events.skipped() {
            *totals.skipped.entry(*skip).or_default() += count;
        }
        for (skip, count) in &self.broken {
            *totals.skipped.entry(*skip).or_default() += count;
        }
        totals.unwanted += self.entries.unwanted() + self.events.unwanted();
        totals.aborted = self.entries.aborted_transactions();
        totals.open = self.entries.open_transactions();
        self.outbox.send(file.index, file.report.clone(), totals)
    }
}
