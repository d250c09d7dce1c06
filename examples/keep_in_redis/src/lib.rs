//! Keeps the newest version of each document in Redis, as JSON under `database.collection:ID`. The connection stays open from op to op.

mod redis;

use std::cell::RefCell;

use gtm_plugin::bson::{Bson, Document};
use gtm_plugin::settings::Settings;
use gtm_plugin::{
    Config, ConfigError, Failure, Op, OperationType, Outcome, Plugin, Subscription, extended_json, plugin,
};

use redis::{Redis, RedisError};

const OPERATIONS: [OperationType; 4] =
    [OperationType::Insert, OperationType::Update, OperationType::Replace, OperationType::Delete];

#[derive(Settings)]
struct KeepSettings {
    /// The server, which the plugin must be granted: `--grant tcp=HOST:PORT`.
    #[setting(default = "localhost:6379")]
    server: String,
    /// The collections: `shop.orders`, or `shop.*`.
    namespace: String,
}

#[plugin(settings = KeepSettings)]
struct KeepInRedis {
    settings: KeepSettings,
    connection: RefCell<Option<Redis>>,
}

impl Plugin for KeepInRedis {
    fn new(config: Config) -> Result<Self, ConfigError> {
        // Not connected yet: a plugin has no connections while it starts.
        Ok(Self { settings: config.parse()?, connection: RefCell::default() })
    }

    fn subscriptions(&self) -> Option<Vec<Subscription>> {
        Some(vec![Subscription::new(&self.settings.namespace).operations(OPERATIONS)])
    }

    fn handle(&self, op: &Op) -> Outcome {
        let key = key(op)?;
        if op.is_delete() {
            return self.run(&[b"DEL", key.as_bytes()]);
        }
        let json = extended_json::relaxed(op.raw_document()?)?;
        self.run(&[b"SET", key.as_bytes(), json.as_bytes()])
    }
}

impl KeepInRedis {
    /// Runs a command over the open connection, or over a new one.
    fn run(&self, words: &[&[u8]]) -> Outcome {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Redis::connect(&self.settings.server).map_err(|error| {
                Failure::retry(format!("{} cannot be reached: {error}", self.settings.server))
            })?,
        };
        match connection.run(words) {
            Ok(_) => {
                self.connection.replace(Some(connection));
                Ok(())
            }
            // The next attempt makes another connection.
            Err(RedisError::Connection(error)) => {
                Err(Failure::retry(format!("{}: {error}", self.settings.server)))
            }
            // So does the next attempt here, as another server may have the name by then.
            Err(RedisError::Unavailable(reason)) => {
                Err(Failure::retry(format!("{}: {reason}", self.settings.server)))
            }
            Err(RedisError::Refused(reason)) => {
                self.connection.replace(Some(connection));
                Err(Failure::reject(reason))
            }
        }
    }
}

/// Returns the key of a document: its namespace and its id.
fn key(op: &Op) -> Result<String, Failure> {
    let id = op.document_key::<Document>()?.remove("_id").unwrap_or(Bson::Null);
    let id = match id {
        Bson::String(text) => text,
        Bson::ObjectId(id) => id.to_hex(),
        other => other.into_relaxed_extjson().to_string(),
    };
    Ok(format!("{}:{id}", op.namespace()))
}

#[cfg(test)]
mod tests {
    use gtm_plugin::bson::doc;
    use gtm_plugin::testing::{delete, insert};

    use super::*;

    #[test]
    fn a_key_has_the_namespace_and_the_id() {
        assert_eq!(key(&insert("shop.orders", doc! { "_id": 7 })).unwrap(), "shop.orders:7");
        assert_eq!(key(&delete("shop.orders", doc! { "_id": "a" })).unwrap(), "shop.orders:a");
    }
}
