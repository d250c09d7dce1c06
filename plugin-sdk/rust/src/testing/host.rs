//! What is behind the capabilities of a plugin in a test: the harness that runs it, on this thread.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::Harness;
use crate::Error;
use crate::bindings::gtm::plugin as contract;
use crate::log::Level;

thread_local! {
    static WORLD: RefCell<Harness> = RefCell::default();
}

pub(super) fn enter(harness: Harness) {
    WORLD.replace(harness);
}

pub(super) fn leave() -> Harness {
    WORLD.take()
}

pub(super) fn with<T>(work: impl FnOnce(&mut Harness) -> T) -> T {
    WORLD.with_borrow_mut(work)
}

/// Runs `work` as a filter or a start, in which the host refuses the capabilities for handlers.
pub(super) fn filtering<T>(work: impl FnOnce() -> T) -> T {
    with(|world| world.is_filtering = true);
    let result = work();
    with(|world| world.is_filtering = false);
    result
}

/// Returns an error in a filter and in a start, for a capability that works in a handler only.
pub(super) fn granted(capability: &str) -> Result<(), contract::types::Error> {
    match with(|world| world.is_filtering) {
        true => Err(contract::types::Error::NotGranted(format!("{capability} can be used in handle only"))),
        false => Ok(()),
    }
}

/// Sets the values that the plugin reads.
pub(super) fn set_config(values: BTreeMap<String, String>) {
    with(|world| world.values = values);
}

pub(crate) fn log(level: Level, message: &str) {
    with(|world| world.run.log.push((level, message.to_owned())));
}

pub(crate) fn send(message: &contract::mail::Message) -> Result<String, Error> {
    granted("mail")?;
    with(|world| {
        if let Some(error) = world.mail_error.clone() {
            return Err(error);
        }
        world.run.mails.push(message.clone());
        Ok(format!("<{}@localhost>", world.run.mails.len()))
    })
}

pub(crate) mod config {
    use super::with;

    pub(crate) fn get(name: &str) -> Option<String> {
        with(|world| world.values.get(name).cloned())
    }

    pub(crate) fn get_all() -> Vec<(String, String)> {
        with(|world| world.values.clone().into_iter().collect())
    }
}

pub(crate) mod metrics {
    use super::with;

    pub(crate) fn count(name: &str, by: u64) {
        with(|world| *world.run.counters.entry(name.to_owned()).or_default() += by);
    }

    pub(crate) fn gauge(name: &str, value: f64) {
        with(|world| world.run.gauges.insert(name.to_owned(), value));
    }

    pub(crate) fn record_value(name: &str, value: f64) {
        with(|world| world.run.recorded.push((name.to_owned(), value)));
    }
}

pub(crate) use super::state;

pub(crate) mod http {
    use super::{granted, with};
    use crate::Error;
    use crate::http::{Request, Response};

    pub(crate) fn send(request: &Request) -> Result<Response, Error> {
        granted("http")?;
        let server = with(|world| {
            world.run.requests.push(request.clone());
            world.server.clone()
        });
        let mut response = match server {
            Some(server) => server(request)?,
            None => Response { status: 200, ..Response::default() },
        };
        for (name, _) in &mut response.headers {
            name.make_ascii_lowercase();
        }
        Ok(response)
    }
}

pub(crate) mod mongodb {
    use bson::{Document, doc};

    use super::contract::mongodb::{FindOptions, UpdateOptions, UpdateResult};
    use super::{granted, with};
    use crate::bindings::gtm::plugin::types::Error;

    fn document(bytes: &[u8]) -> Result<Document, Error> {
        bson::deserialize_from_slice(bytes).map_err(|error| Error::Invalid(error.to_string()))
    }

    /// Returns an error as the host returns it.
    fn contract_error(error: crate::Error) -> Error {
        match error {
            crate::Error::NotGranted(reason) => Error::NotGranted(reason),
            crate::Error::Invalid(reason) => Error::Invalid(reason),
            crate::Error::Rejected(reason) => Error::Rejected(reason),
            crate::Error::Unavailable(reason) => Error::Unavailable(reason),
            crate::Error::Conflict(reason) => Error::Conflict(reason),
            crate::Error::TooLarge(reason) => Error::TooLarge(reason),
        }
    }

    fn write(namespace: &str, command: Document) -> Result<(), Error> {
        granted("mongodb")?;
        with(|world| match world.write_error.clone() {
            Some(error) => Err(contract_error(error)),
            None => {
                world.run.writes.push((namespace.to_owned(), command));
                Ok(())
            }
        })
    }

    fn found(namespace: &str) -> Result<Vec<Vec<u8>>, Error> {
        granted("mongodb")?;
        let documents = with(|world| world.collections.get(namespace).cloned()).unwrap_or_default();
        let bytes = |document: &Document| bson::serialize_to_vec(document);
        documents
            .iter()
            .map(bytes)
            .collect::<Result<_, _>>()
            .map_err(|error| Error::Invalid(error.to_string()))
    }

    pub(crate) fn find(namespace: &str, _: &[u8], options: &FindOptions) -> Result<Vec<Vec<u8>>, Error> {
        let mut documents = found(namespace)?;
        let skipped = options.skip.map_or(0, |skip| usize::try_from(skip).unwrap_or(usize::MAX));
        documents.drain(..skipped.min(documents.len()));
        if let Some(limit) = options.limit {
            documents.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        Ok(documents)
    }

    pub(crate) fn aggregate(namespace: &str, _: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Error> {
        found(namespace)
    }

    pub(crate) fn insert(namespace: &str, documents: &[Vec<u8>]) -> Result<(), Error> {
        let documents = documents.iter().map(|bytes| document(bytes)).collect::<Result<Vec<_>, _>>()?;
        write(namespace, doc! { "insert": documents })
    }

    pub(crate) fn update(
        namespace: &str,
        filter: &[u8],
        update: &[u8],
        options: UpdateOptions,
    ) -> Result<UpdateResult, Error> {
        let (filter, update) = (document(filter)?, document(update)?);
        write(
            namespace,
            doc! { "update": filter, "by": update, "many": options.many, "upsert": options.upsert },
        )?;
        Ok(UpdateResult { matched_count: 1, modified_count: 1, upserted_id: None })
    }

    pub(crate) fn replace(
        namespace: &str,
        filter: &[u8],
        replacement: &[u8],
        upsert: bool,
    ) -> Result<UpdateResult, Error> {
        write(
            namespace,
            doc! { "replace": document(filter)?, "by": document(replacement)?, "upsert": upsert },
        )?;
        Ok(UpdateResult { matched_count: 1, modified_count: 1, upserted_id: None })
    }

    pub(crate) fn delete(namespace: &str, filter: &[u8], many: bool) -> Result<u64, Error> {
        write(namespace, doc! { "delete": document(filter)?, "many": many })?;
        Ok(1)
    }
}
