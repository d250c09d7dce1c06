//! Finds the newest change that a server has, read or not.

use bson::doc;
use gtm_oplog::Timestamp;
use mongodb::Client;

use crate::ResolvedSource;
use crate::oplog::{majority, newest_entry};

/// Returns the time of the newest change that the server has. None: it has none, or does not report it.
pub async fn newest_change(
    client: &Client,
    choice: &ResolvedSource,
) -> mongodb::error::Result<Option<Timestamp>> {
    match choice {
        ResolvedSource::Oplog(oplog) => newest_entry(client, oplog).await,
        ResolvedSource::ChangeStream(_) => {
            let hello = client.database("admin").run_command(doc! { "hello": 1 }).await?;
            // A mongos has no oplog.
            let operation = || hello.get_timestamp("operationTime").ok().map(Timestamp::from);
            Ok(majority(&hello).or_else(operation))
        }
    }
}
