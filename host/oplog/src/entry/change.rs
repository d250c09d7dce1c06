//! Finds what an entry changed: its namespace, document key and document, all still slices of the entry.

use bson::RawDocument;

use crate::entry::OplogEntry;
use crate::fields::Fields;
use crate::op::OperationType;
use crate::skip::Skip;
use crate::value::string;

impl<'a> OplogEntry<'a> {
    /// Returns the change of this entry.
    ///
    /// For an `applyOps`, ask its parts instead.
    ///
    /// # Errors
    /// The reason why the entry is not a change.
    pub fn change(&self) -> Result<EntryChange<'a>, Skip> {
        if self.from_migrate {
            return Err(Skip::Migration);
        }
        match self.kind {
            "i" | "u" | "d" => self.document_change(),
            "c" => self.command(),
            "n" => Err(Skip::Noop),
            _ => Err(Skip::UnknownKind),
        }
    }

    fn document_change(&self) -> Result<EntryChange<'a>, Skip> {
        let (database, collection) = self.namespace.split_once('.').ok_or(Skip::Malformed)?;
        let object = self.object.ok_or(Skip::Malformed)?;
        let change = EntryChange {
            operation: OperationType::Other,
            database,
            collection,
            key: None,
            document: None,
            command: None,
        };
        Ok(match self.kind {
            "i" => EntryChange {
                operation: OperationType::Insert,
                key: Some(self.object2.map_or(KeyLocation::IdOf(object), KeyLocation::Whole)),
                document: Some(object),
                ..change
            },
            "d" => EntryChange {
                operation: OperationType::Delete,
                key: Some(KeyLocation::Whole(object)),
                ..change
            },
            _ => {
                let replaces = !is_delta(object);
                EntryChange {
                    operation: if replaces { OperationType::Replace } else { OperationType::Update },
                    key: self.object2.map(KeyLocation::Whole),
                    document: replaces.then_some(object),
                    ..change
                }
            }
        })
    }

    fn command(&self) -> Result<EntryChange<'a>, Skip> {
        let database = self.namespace.strip_suffix(".$cmd").ok_or(Skip::Malformed)?;
        let command = self.object.ok_or(Skip::Malformed)?;
        let first = command.iter_elements().next().and_then(Result::ok).ok_or(Skip::Malformed)?;
        let operation = match first.key().as_str() {
            "create" => OperationType::Create,
            "drop" => OperationType::Drop,
            "dropDatabase" => OperationType::DropDatabase,
            "renameCollection" => OperationType::Rename,
            "createIndexes" | "commitIndexBuild" => OperationType::CreateIndexes,
            "dropIndexes" | "deleteIndexes" => OperationType::DropIndexes,
            "collMod" => OperationType::Modify,
            "startIndexBuild" | "abortIndexBuild" => return Err(Skip::IndexBuild),
            // These belong to a transaction and are nothing by themselves.
            "applyOps" | "commitTransaction" | "abortTransaction" => return Err(Skip::Malformed),
            _ => OperationType::Other,
        };
        let named = first.value().ok().and_then(string).unwrap_or_default();
        let (database, collection) = subject(operation, first.key().as_str(), database, named);
        Ok(EntryChange { operation, database, collection, key: None, document: None, command: Some(command) })
    }
}

/// The change that an entry describes, as slices of the entry.
#[derive(Clone, Copy, Debug)]
pub struct EntryChange<'a> {
    /// The operation.
    pub operation: OperationType,
    /// The database.
    pub database: &'a str,
    /// The collection. Empty if the change affects the whole database.
    pub collection: &'a str,
    /// The key of the changed document.
    pub key: Option<KeyLocation<'a>>,
    /// The document after an insert or a replacement.
    pub document: Option<&'a RawDocument>,
    /// The command, if the change is not to a document.
    pub command: Option<&'a RawDocument>,
}

/// The location of the document key in an entry.
#[derive(Clone, Copy, Debug)]
pub enum KeyLocation<'a> {
    /// This document is the key.
    Whole(&'a RawDocument),
    /// The key is the `_id` of this document: an insert by a server before 5.3.
    IdOf(&'a RawDocument),
}

/// Returns whether the `o` of an update describes a difference instead of the new document: `{$v: 2, diff}` since 5.0,
/// `{$v: 1, $set, $unset}` before, without `$v` in the oldest servers.
///
/// The rule is the server's: a new document has an `_id` at its top level, a difference has none. A document keeps its
/// client's order of fields, so the `_id` can follow fields with the names of a difference. A difference has two or
/// three fields, so looking at all of them is cheap.
fn is_delta(object: &RawDocument) -> bool {
    let mut marked = false;
    for field in Fields::new(object).map_while(Result::ok) {
        match field.name {
            b"_id" => return false,
            b"$v" | b"diff" | b"$set" | b"$unset" => marked = true,
            _ => {}
        }
    }
    marked
}

/// Returns the database and collection that a command names by its first value. Most commands name the collection
/// alone, in the database that they run in. `renameCollection`, `importCollection`, `dbCheck` and other commands of the
/// server name the database, too.
fn subject<'a>(
    operation: OperationType,
    command: &str,
    database: &'a str,
    named: &'a str,
) -> (&'a str, &'a str) {
    let in_full = match operation {
        OperationType::DropDatabase => return (database, ""),
        OperationType::Rename => true,
        // For an unknown command, the database that it runs in decides. `admin` has no collections of users.
        OperationType::Other if !matches!(command, "convertToCapped" | "emptycapped") => {
            let before = named.split_once('.').map(|(before, _)| before);
            before.is_some_and(|before| before == database || database == "admin")
        }
        _ => false,
    };
    named.split_once('.').filter(|_| in_full).unwrap_or((database, named))
}
