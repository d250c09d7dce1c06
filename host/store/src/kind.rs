//! The kinds of stores.

use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

/// Where the host stores what it needs after a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum StoreKind {
    /// In [the host's own database](gtm_oplog::own_database) of the cluster that is followed.
    #[default]
    Mongodb,
    /// In a file in this directory.
    File(PathBuf),
    /// Nowhere.
    None,
}

/// The text does not name a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected mongodb, file:DIR or none")]
pub struct InvalidStoreKind;

impl FromStr for StoreKind {
    type Err = InvalidStoreKind;

    fn from_str(text: &str) -> Result<Self, InvalidStoreKind> {
        match (text, text.strip_prefix("file:")) {
            ("mongodb", _) => Ok(Self::Mongodb),
            ("none", _) => Ok(Self::None),
            (_, Some(directory)) if !directory.is_empty() => Ok(Self::File(directory.into())),
            _ => Err(InvalidStoreKind),
        }
    }
}

impl TryFrom<String> for StoreKind {
    type Error = InvalidStoreKind;

    fn try_from(text: String) -> Result<Self, InvalidStoreKind> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_word_or_a_directory() {
        assert_eq!("mongodb".parse(), Ok(StoreKind::Mongodb));
        assert_eq!("none".parse(), Ok(StoreKind::None));
        assert_eq!("file:/var/lib/gtm".parse(), Ok(StoreKind::File("/var/lib/gtm".into())));
        for none in ["", "file:", "file", "redis", "MongoDB"] {
            assert_eq!(none.parse::<StoreKind>(), Err(InvalidStoreKind), "{none}");
        }
    }
}
