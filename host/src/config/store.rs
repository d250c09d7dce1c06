//! The settings of the store: a word, or a table.

use std::fmt;

use gtm_oplog::OwnDatabase;
use gtm_store::StoreKind;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};

/// Where the host keeps what it needs after a restart: `store = "file:DIR"`, or `[store]` with a `kind` and a `database`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreSettings {
    /// The kind of the store: on the cluster, in a directory, or none.
    pub kind: StoreKind,
    /// The host's own database on the cluster, if it is not [`DEFAULT`](gtm_oplog::own_database::DEFAULT).
    pub database: Option<OwnDatabase>,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct StoreTable {
    kind: StoreKind,
    database: Option<OwnDatabase>,
}

impl<'de> Deserialize<'de> for StoreSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordOrTable)
    }
}

struct WordOrTable;

impl<'de> Visitor<'de> for WordOrTable {
    type Value = StoreSettings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mongodb, file:DIR, none, or a table with kind and database")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<StoreSettings, E> {
        let kind = word.parse().map_err(E::custom)?;
        Ok(StoreSettings { kind, database: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StoreSettings, A::Error> {
        let StoreTable { kind, database } = StoreTable::deserialize(MapAccessDeserializer::new(map))?;
        Ok(StoreSettings { kind, database })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn store(text: &str) -> Result<StoreSettings, String> {
        toml::from_str::<Settings>(text)
            .map(|settings| settings.store)
            .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_store_is_a_word_or_a_table() {
        let file = StoreKind::File("/var/lib/gtm".into());
        let other = "host".parse().ok();
        assert_eq!(store(""), Ok(StoreSettings::default()));
        assert_eq!(store("store = \"none\""), Ok(StoreSettings { kind: StoreKind::None, database: None }));
        let table = StoreSettings { kind: StoreKind::Mongodb, database: other.clone() };
        assert_eq!(store("[store]\ndatabase = \"host\""), Ok(table));
        let table = StoreSettings { kind: file, database: other };
        assert_eq!(store("[store]\nkind = \"file:/var/lib/gtm\"\ndatabase = \"host\""), Ok(table));
    }

    #[test]
    fn an_invalid_store_is_refused() {
        assert_eq!(store("store = \"redis\"").unwrap_err(), "expected mongodb, file:DIR or none");
        assert!(store("store = 1").unwrap_err().contains("a table with kind and database"));
        assert!(store("[store]\nname = \"x\"").unwrap_err().contains("unknown field `name`"));
        assert!(store("[store]\ndatabase = \"admin\"").unwrap_err().contains("the server's own"));
    }
}
