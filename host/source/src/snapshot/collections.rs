//! Finds the collections to read: those in which inserts are wanted.

use std::collections::HashSet;

use bson::{RawDocumentBuf, doc};
use futures_util::TryStreamExt;
use gtm_mongo::server_error::{UNAUTHORIZED, command_code, sentence};
use gtm_oplog::{Namespace, OperationType, Selection};
use mongodb::Client;

use super::error::SnapshotError;
use super::retry::with_retries;
use super::state::SnapshotCollection;

/// The collections that were found.
pub(super) struct FoundCollections {
    pub(super) collections: Vec<SnapshotCollection>,
    /// The databases whose collections may not be listed.
    pub(super) unlisted: Vec<String>,
}

/// Finds the collections in which `selection` wants inserts.
///
/// A view has no documents of its own, so it is skipped unless a pattern is exactly its name. So is a time series, whose documents
/// are packed in a `system.` collection.
pub(super) async fn find(
    client: &Client,
    selection: &mut Selection,
) -> Result<FoundCollections, SnapshotError> {
    let ask = async || client.list_database_names().await;
    let databases = with_retries("the databases cannot be listed", ask).await;
    let databases = databases.map_err(|error| SnapshotError::Databases { reason: sentence(&error) })?;
    let mut found = FoundCollections { collections: Vec::new(), unlisted: Vec::new() };
    let mut views = Vec::new();
    for database in databases {
        if !selection.may_want(&database, OperationType::Insert) {
            continue;
        }
        let listed = match list(client, &database, doc! {}).await {
            Ok(listed) => listed,
            Err(error) => {
                tracing::warn!(
                    event = "snapshot.skip_database",
                    database,
                    error = refusal(&error, &database),
                    "the snapshot leaves out a database: its collections cannot be listed"
                );
                found.unlisted.push(database);
                continue;
            }
        };
        for Listed { name, kind, uuid } in listed {
            let Some(namespace) = selection.select(&database, &name, OperationType::Insert) else { continue };
            let (view, name) = (kind != "collection", namespace.to_string());
            if !view || selection.named(OperationType::Insert).any(|named| named == name) {
                found.collections.push(SnapshotCollection::new(&namespace, uuid, view));
            } else {
                views.push(name);
            }
        }
    }
    log_skipped(&found, &views, selection);
    Ok(found)
}

fn log_skipped(found: &FoundCollections, views: &[String], selection: &Selection) {
    if let Some(view) = views.first() {
        tracing::info!(
            event = "snapshot.skip_views",
            views = views.len(),
            example = view,
            "the snapshot skips views and time series: it reads them only if a plugin subscribes to the exact name"
        );
    }
    let names: HashSet<_> =
        found.collections.iter().map(|collection| collection.namespace().to_string()).collect();
    for named in selection.named(OperationType::Insert).filter(|named| !names.contains(*named)) {
        tracing::info!(
            event = "snapshot.skip_missing",
            namespace = named,
            "the snapshot does not find a collection: it does not exist, or this user may not see it"
        );
    }
}

/// Returns the reason why the server refuses a read in a database, and what helps.
pub(super) fn refusal(error: &mongodb::error::Error, database: &str) -> String {
    let reason = sentence(error);
    if command_code(error) != Some(UNAUTHORIZED) {
        return reason;
    }
    format!(
        "{reason}. help: ask an administrator to run this in mongosh: \
         db.getSiblingDB(\"admin\").grantRolesToUser(\"USER\", [{{role: \"read\", db: \"{database}\"}}])"
    )
}

/// A collection in the server's list.
struct Listed {
    name: String,
    /// `collection`, `view` or `timeseries`.
    kind: String,
    uuid: Option<String>,
}

/// Returns whether the collection still exists, with the same UUID.
pub(super) async fn is_there(
    client: &Client,
    namespace: &Namespace,
    uuid: Option<&str>,
) -> mongodb::error::Result<bool> {
    let listed = list(client, &namespace.database, doc! { "name": &*namespace.collection }).await?;
    Ok(listed.iter().any(|one| one.uuid.as_deref() == uuid))
}

/// Lists the collections of a database. The replies are read field by field, as the driver's own type fails for all if it does not
/// know an option of one.
async fn list(
    client: &Client,
    database: &str,
    filter: bson::Document,
) -> mongodb::error::Result<Vec<Listed>> {
    let ask = async || {
        let command = doc! { "listCollections": 1, "filter": filter.clone() };
        let cursor = client.database(database).run_cursor_command(command).await?;
        cursor.with_type::<RawDocumentBuf>().try_collect::<Vec<_>>().await
    };
    let listed = with_retries("the collections cannot be listed", ask).await?;
    Ok(listed.iter().filter_map(|one| listed_as(one)).collect())
}

fn listed_as(one: &bson::RawDocument) -> Option<Listed> {
    let uuid = one.get_document("info").and_then(|info| info.get_binary("uuid"));
    Some(Listed {
        name: one.get_str("name").ok()?.to_owned(),
        kind: one.get_str("type").unwrap_or("collection").to_owned(),
        uuid: uuid.ok().map(|uuid| hex::encode(uuid.bytes)),
    })
}
