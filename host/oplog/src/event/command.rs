//! Rebuilds the command behind an event that is not a change to a document, in the form that it has in the oplog, as
//! far as the event describes it.
//!
//! | event | command |
//! |---|---|
//! | `create` | `{create: COLLECTION, …operationDescription}` |
//! | `drop` | `{drop: COLLECTION}` |
//! | `dropDatabase` | `{dropDatabase: 1}` |
//! | `rename` | `{renameCollection: "DB.COLLECTION", to: "DB.COLLECTION", …operationDescription}` |
//! | `createIndexes` | for one index `{createIndexes: COLLECTION, v, key, name, …}`, for several `{createIndexes: COLLECTION, indexes: […]}` |
//! | `dropIndexes` | for one index `{dropIndexes: COLLECTION, index: NAME}`, for several `{dropIndexes: COLLECTION, indexes: […]}` |
//! | `modify` | `{collMod: COLLECTION, …operationDescription}` |

use bson::raw::{CStr, cstr};
use bson::{RawDocument, RawDocumentBuf};

use crate::event::header::ChangeEvent;
use crate::op::OperationType;
use crate::reply::Malformed;
use crate::value::subdocument;

/// Returns the command of `event`. None: the event is a change to a document, or of an unknown kind.
///
/// # Errors
/// The event's description is not valid BSON.
pub(super) fn command(
    operation: OperationType,
    event: &ChangeEvent<'_>,
) -> Result<Option<RawDocumentBuf>, Malformed> {
    let ChangeEvent { database, collection, operation_description: details, .. } = *event;
    let mut command = RawDocumentBuf::new();
    match operation {
        OperationType::Create => {
            command.append(cstr!("create"), collection);
            append(&mut command, details, None)?;
        }
        OperationType::Drop => command.append(cstr!("drop"), collection),
        OperationType::DropDatabase => command.append(cstr!("dropDatabase"), 1),
        OperationType::Rename => {
            command.append(cstr!("renameCollection"), format!("{database}.{collection}"));
            command.append(cstr!("to"), event.renamed_to().unwrap_or_default());
            append(&mut command, details, Some("to"))?;
        }
        OperationType::CreateIndexes => {
            command.append(cstr!("createIndexes"), collection);
            append(&mut command, only_index(details).or(details), None)?;
        }
        OperationType::DropIndexes => {
            command.append(cstr!("dropIndexes"), collection);
            match only_index(details).and_then(|index| index.get_str("name").ok()) {
                Some(name) => command.append(cstr!("index"), name),
                None => append(&mut command, details, None)?,
            }
        }
        OperationType::Modify => {
            command.append(cstr!("collMod"), collection);
            append(&mut command, details, None)?;
        }
        _ => return Ok(None),
    }
    Ok(Some(command))
}

/// Appends the fields of `details`, except the one named `but`.
fn append(
    command: &mut RawDocumentBuf,
    details: Option<&RawDocument>,
    but: Option<&str>,
) -> Result<(), Malformed> {
    for element in details.into_iter().flat_map(RawDocument::iter_elements) {
        let element = element?;
        let name: &CStr = element.key();
        if Some(name.as_str()) != but {
            command.append(name, element.value()?);
        }
    }
    Ok(())
}

/// Returns the index of a description that has exactly one.
fn only_index(details: Option<&RawDocument>) -> Option<&RawDocument> {
    let mut indexes = details?.get_array("indexes").ok()?.into_iter();
    let index = subdocument(indexes.next()?.ok()?)?;
    indexes.next().is_none().then_some(index)
}
