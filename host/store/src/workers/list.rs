//! Reads the list of workers, from a file or from a document on the cluster.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use bson::oid::ObjectId;
use bson::{Bson, RawBsonRef, RawDocument, RawDocumentBuf, doc};
use gtm_mongo::server_error::{UNAUTHORIZED, command_code, sentence};
use gtm_source::snapshot::with_retries;
use mongodb::{Client, Namespace};
use serde::Deserialize;

use super::{Group, WorkersError};

/// A document `{_id, workers: […]}` on the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ListDocument {
    /// Its collection.
    pub namespace: Namespace,
    /// Its `_id`: a string or, if no document has that, the ObjectId or number that it looks like.
    pub id: String,
}

/// The text does not name a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected DB.COLL/ID: the namespace and the _id of a document on the cluster")]
pub struct InvalidListDocument;

impl FromStr for ListDocument {
    type Err = InvalidListDocument;

    fn from_str(text: &str) -> Result<Self, InvalidListDocument> {
        let (namespace, id) = text.split_once('/').ok_or(InvalidListDocument)?;
        let namespace: Namespace = namespace.parse().map_err(|_| InvalidListDocument)?;
        if namespace.db.is_empty() || namespace.coll.is_empty() || id.is_empty() {
            return Err(InvalidListDocument);
        }
        Ok(Self { namespace, id: id.to_owned() })
    }
}

impl TryFrom<String> for ListDocument {
    type Error = InvalidListDocument;

    fn try_from(text: String) -> Result<Self, InvalidListDocument> {
        text.parse()
    }
}

impl fmt::Display for ListDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.id)
    }
}

/// The content of a file.
#[derive(Deserialize)]
struct WorkerList {
    workers: Vec<String>,
}

impl Group {
    /// Reads the group that a file lists: TOML if its name ends in `.toml`, otherwise JSON.
    ///
    /// # Errors
    /// The file cannot be read, or has no such list; or see [`Group::new`].
    pub fn from_file(path: &Path, me: &str) -> Result<Self, WorkersError> {
        let none = |reason: String| WorkersError::NoList { place: path.display().to_string(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| none(error.to_string()))?;
        let list: Result<WorkerList, String> =
            match path.extension().is_some_and(|extension| extension == "toml") {
                true => toml::from_str(&text).map_err(|error| error.message().to_owned()),
                false => serde_json::from_str(&text).map_err(|error| error.to_string()),
            };
        Self::new(list.map_err(none)?.workers, me)
    }

    /// Reads the group that a document on the cluster lists. Waits for a server that does not answer.
    ///
    /// # Errors
    /// There is no such document, it cannot be read, or it has no such list; or see [`Group::new`].
    pub async fn from_cluster(client: &Client, list: &ListDocument, me: &str) -> Result<Self, WorkersError> {
        let none = |reason: &str| WorkersError::NoList { place: list.to_string(), reason: reason.to_owned() };
        for id in list.ids() {
            if let Some(document) = list.find(client, &id).await? {
                return Self::new(names(&document).map_err(none)?, me);
            }
        }
        Err(none("there is no such document"))
    }
}

impl ListDocument {
    /// Returns the values to look for in `_id`.
    fn ids(&self) -> impl Iterator<Item = Bson> {
        let text = Some(Bson::from(self.id.as_str()));
        let object_id = ObjectId::from_str(&self.id).ok().map(Bson::from);
        let whole = self.id.parse::<i64>().ok().map(Bson::from);
        let number = whole.or_else(|| self.id.parse::<f64>().ok().map(Bson::from));
        [text, object_id, number].into_iter().flatten()
    }

    async fn find(&self, client: &Client, id: &Bson) -> Result<Option<RawDocumentBuf>, WorkersError> {
        let collection =
            client.database(&self.namespace.db).collection::<RawDocumentBuf>(&self.namespace.coll);
        let find = || async { collection.find_one(doc! { "_id": id }).await };
        let answer = with_retries("the list of workers cannot be read", find).await;
        answer.map_err(|error| match command_code(&error) {
            Some(UNAUTHORIZED) => {
                WorkersError::Unauthorized { place: self.to_string(), database: self.namespace.db.clone() }
            }
            _ => WorkersError::Server { place: self.to_string(), reason: sentence(&error) },
        })
    }
}

/// Returns the names in a document, or why it is not valid.
fn names(document: &RawDocument) -> Result<Vec<String>, &'static str> {
    let workers =
        document.get("workers").map_err(|_| "it is not valid BSON")?.ok_or("it has no field workers")?;
    let workers = workers.as_array().ok_or("its field workers is not an array")?;
    let name = |worker: bson::error::Result<RawBsonRef<'_>>| Some(worker.ok()?.as_str()?.to_owned());
    workers.into_iter().map(|worker| name(worker).ok_or("a worker in it is not a string")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(name: &str, text: &str) -> Result<Vec<String>, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        Group::from_file(&path, "Tom").map(|group| group.names().to_vec()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_list_is_read_from_json_and_toml() {
        let both = Ok(vec!["Dick".to_owned(), "Tom".to_owned()]);
        assert_eq!(from("workers.json", r#"{"workers": ["Tom", "Dick"]}"#), both);
        assert_eq!(from("workers.toml", r#"workers = ["Tom", "Dick"]"#), both);
    }

    #[test]
    fn a_file_without_a_list_of_workers_is_refused() {
        for (name, text, says) in [
            ("a.json", "", "EOF"),
            ("a.json", "{}", "missing field `workers`"),
            ("a.json", r#"["Tom"]"#, "a.json has no list of workers: "),
            ("a.json", r#"{"workers": ["Tom", 1]}"#, "invalid type: integer `1`, expected a string"),
            ("a.json", r#"workers = ["Tom"]"#, "expected value"),
            ("a.toml", r#"{"workers": ["Tom"]}"#, "a.toml has no list of workers: "),
            ("a.toml", "worker = 1", "missing field `workers`"),
            ("a.json", r#"{"workers": []}"#, "the list of workers is empty"),
            ("a.json", r#"{"workers": ["Tom", ""]}"#, "an empty name"),
            ("a.json", r#"{"workers": ["Tom", "Dick", "Tom"]}"#, "has Tom twice"),
            ("a.json", r#"{"workers": ["Harry", "Dick"]}"#, "there is no worker Tom; there are: Dick, Harry"),
        ] {
            let said = from(name, text).unwrap_err();
            assert!(said.contains(says), "{text}: {said}");
        }
        let said = Group::from_file(Path::new("/no/such/file.json"), "Tom").unwrap_err().to_string();
        assert!(said.starts_with("/no/such/file.json has no list of workers: No such file"), "{said}");
    }

    #[test]
    fn a_document_is_named_by_its_namespace_and_its_id() {
        let list: ListDocument = "gtm.workers.of.mine/a/b".parse().unwrap();
        assert_eq!((list.namespace.to_string().as_str(), list.id.as_str()), ("gtm.workers.of.mine", "a/b"));
        assert_eq!(list.to_string(), "gtm.workers.of.mine/a/b");
        for none in ["", "gtm/x", "gtm.workers", "gtm.workers/", ".workers/x", "gtm./x"] {
            assert_eq!(none.parse::<ListDocument>(), Err(InvalidListDocument), "{none}");
        }
    }
}
