//! The functions of `gtm:plugin/mongodb`.

use std::sync::atomic::Ordering;

use bson::raw::cstr;
use bson::{Document, RawArrayBuf, RawDocument, RawDocumentBuf, doc, rawdoc};
use gtm_mongo::server_error::command_code;
use gtm_oplog::{Namespace as OpNamespace, OperationType, Selection};
use gtm_source::Form;
use gtm_source::extended_json::write;
use mongodb::Namespace;
use mongodb::error::Error as DriverError;
use serde_json::{Value, json};

use super::answers::{self, parse};
use super::contract::{FindOptions, Host, UpdateOptions, UpdateResult};
use super::reads::{self, CommandRefusal};
use super::{Capability, Mongodb, MongodbView, NamespaceGrant};
use crate::abi::v0_2::types::Error;
use crate::budget::BudgetExceeded;
use crate::remedy::PluginRemedy;
use crate::services::Cluster;
use crate::state::timed;

/// The code of a query that exceeded its time limit.
const MAX_TIME_EXPIRED: i32 = 50;
/// Documents that one call returns.
const MAX_DOCUMENTS: usize = 10_000;
/// Bytes that one call takes or returns: as many as the largest document has.
const MAX_BYTES: usize = 16 << 20;
/// Bytes of a namespace: as many as a server accepts.
const MAX_NAMESPACE_BYTES: usize = 255;
/// Documents that one call inserts.
const MAX_INSERTED: usize = 1000;
/// Bytes of a command that is checked on a thread that runs plugins, within less than a millisecond.
const MAX_INLINE_BYTES: usize = 64 << 10;

impl From<CommandRefusal> for Error {
    fn from(refusal: CommandRefusal) -> Self {
        match refusal {
            CommandRefusal::Invalid(reason) => Self::Invalid(reason),
            // No grant and no retry changes that.
            CommandRefusal::Never(reason) => Self::Invalid(reason),
        }
    }
}

/// How a call uses a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NamespaceAccess {
    Read,
    Write,
}

impl MongodbView<'_> {
    /// Returns the cluster and the namespace, if the plugin has this access.
    fn access(
        &self,
        access: NamespaceAccess,
        namespace: &str,
    ) -> Result<(Option<Cluster>, Namespace), Error> {
        self.require_op("mongodb").map_err(Error::NotGranted)?;
        // The sentence of a refusal repeats the namespace.
        if namespace.len() > MAX_NAMESPACE_BYTES {
            return Err(Error::Invalid(format!(
                "a namespace has at most {MAX_NAMESPACE_BYTES} bytes, and this one has {}",
                namespace.len()
            )));
        }
        let grants = &self.setup.grants.mongodb;
        let (granted, verb): (&[NamespaceGrant], _) = match access {
            NamespaceAccess::Read => (&grants.read, "read"),
            NamespaceAccess::Write => (&grants.write, "write"),
        };
        if !granted.iter().any(|grant| grant.covers(namespace)) {
            return Err(Error::NotGranted(self.not_granted(
                &format!("mongodb: to {verb} {namespace}"),
                &format!("mongodb-{verb}={namespace}"),
                &format!("mongodb.{verb} = [\"{namespace}\"]"),
                (!granted.is_empty()).then_some(self.id()),
            )));
        }
        self.permitted();
        let parsed = namespace.parse().map_err(|_| {
            Error::Invalid(format!(
                "\"{namespace}\" is not a valid namespace. help: write DATABASE.COLLECTION"
            ))
        })?;
        match &self.shared.services.client {
            Some(cluster) => Ok((Some(cluster.clone()), parsed)),
            // A recorded write needs no cluster.
            None if access == NamespaceAccess::Write && self.recorder().is_some() => Ok((None, parsed)),
            None => Err(self.no_cluster()),
        }
    }

    fn no_cluster(&self) -> Error {
        let reason = format!("there is no cluster here, as the ops come from files{}", PluginRemedy::Cluster);
        Error::NotGranted(self.notes.blocked(reason, None))
    }

    fn needed<'a>(&self, cluster: Option<&'a Cluster>) -> Result<&'a Cluster, Error> {
        cluster.ok_or_else(|| self.no_cluster())
    }

    /// Converts an error of the server or the driver.
    fn failed(&self, cluster: &Cluster, error: &DriverError) -> Error {
        match answers::error(error) {
            Error::NotGranted(reason) => Error::NotGranted(self.notes.blocked(reason, Some(self.id()))),
            Error::Unavailable(reason) => {
                // The limit is sent with the command.
                let limit = match command_code(error) {
                    Some(MAX_TIME_EXPIRED) => {
                        format!(". The limit is {}", self.setup.call_timeout_in_words())
                    }
                    _ => String::new(),
                };
                Error::Unavailable(format!("{}: {reason}{limit}", cluster.words()))
            }
            other => other,
        }
    }

    /// Checks a command, and the access to the other namespaces that it reads, before it is sent.
    async fn check_reads(
        &mut self,
        command: RawDocumentBuf,
        database: &str,
    ) -> Result<RawDocumentBuf, Error> {
        let bytes = command.as_bytes().len();
        // The names in a command take some bytes in addition to the documents.
        if bytes > MAX_BYTES + MAX_INLINE_BYTES {
            return Err(Error::TooLarge(format!(
                "a call has at most {} MiB, and this one has {bytes} bytes",
                MAX_BYTES >> 20
            )));
        }
        let database = database.to_owned();
        let read = move || reads::other_reads(&command, &database).map(|reads| (reads, command));
        let looked = match bytes > MAX_INLINE_BYTES {
            true => tokio::task::spawn_blocking(read)
                .await
                .map_err(|_| Error::Unavailable("the host is shutting down".to_owned()))?,
            false => read(),
        };
        let (reads, command) = looked?;
        reads.iter().try_for_each(|namespace| self.access(NamespaceAccess::Read, namespace).map(drop))?;
        Ok(command)
    }

    /// Has the server end a command when the time limit of a call is over.
    fn limit(&self, command: &mut RawDocumentBuf) {
        let limit = self.setup.limits.call_timeout.as_millis();
        // 0 would mean no limit, and a server accepts at most this.
        command.append(cstr!("maxTimeMS"), i32::try_from(limit).unwrap_or(i32::MAX).max(1));
    }

    /// Runs a command and returns its documents.
    async fn query(
        &mut self,
        cluster: &Option<Cluster>,
        database: &str,
        command: RawDocumentBuf,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let exceeded = |exceeded: BudgetExceeded| Error::TooLarge(exceeded.to_string());
        let mut charge = self.budget.charge(command.as_bytes().len()).map_err(exceeded)?;
        let mut command = self.check_reads(command, database).await?;
        let cluster = self.needed(cluster.as_ref())?;
        self.limit(&mut command);
        let query = async {
            let mut cursor = cluster.client.database(database).run_raw_cursor_command(command).await?;
            let (mut documents, mut bytes) = (Vec::new(), 0);
            while cursor.advance().await? {
                let document = cursor.current().as_bytes();
                bytes += document.len();
                if documents.len() == MAX_DOCUMENTS || bytes > MAX_BYTES {
                    return Ok(Err(Error::TooLarge(format!(
                        "the result has more than {MAX_DOCUMENTS} documents or {} MiB. help: ask for fewer documents per call",
                        MAX_BYTES >> 20
                    ))));
                }
                if let Err(error) = charge.add(document.len()) {
                    return Ok(Err(exceeded(error)));
                }
                documents.push(document.to_vec());
            }
            Ok(Ok(documents))
        };
        match timed(&self.setup, &cluster.words(), query).await {
            Ok(Ok(documents)) => documents,
            Ok(Err(error)) => Err(self.failed(cluster, &error)),
            Err(late) => Err(Error::Unavailable(late)),
        }
    }

    /// Runs a command that writes, unless effects are only recorded.
    async fn write(
        &mut self,
        namespace: &str,
        operation: &[OperationType],
        cluster: &Option<Cluster>,
        database: &str,
        command: RawDocumentBuf,
    ) -> Result<Option<Document>, Error> {
        let charge = self.budget.charge(command.as_bytes().len());
        let _charge = charge.map_err(|exceeded| Error::TooLarge(exceeded.to_string()))?;
        let mut command = self.check_reads(command, database).await?;
        if self.record(Mongodb::NAME, || shown(&command)) {
            self.notes.made_up();
            return Ok(None);
        }
        let cluster = self.needed(cluster.as_ref())?;
        if !self.shared_context().is_reported.load(Ordering::Relaxed) {
            self.warn_if_fed_back(namespace, operation);
        }
        command.append(cstr!("writeConcern"), rawdoc! { "w": "majority" });
        self.limit(&mut command);
        let asked = async { cluster.client.database(database).run_raw_command(command).await };
        let done = timed(&self.setup, &cluster.words(), asked).await;
        let answer = done.map_err(Error::Unavailable)?.map_err(|error| self.failed(cluster, &error))?;
        answers::check(&answer).map_err(|error| match error {
            Error::NotGranted(reason) => Error::NotGranted(self.notes.blocked(reason, Some(self.id()))),
            other => other,
        })?;
        Ok(Some(answer))
    }

    /// Logs, once, that the plugin writes to the namespace of the current op, and so gets its own writes as ops. A plugin whose filter
    /// skips them never has such an op.
    fn warn_if_fed_back(&self, namespace: &str, operations: &[OperationType]) {
        let Some((database, collection)) = namespace.split_once('.') else { return };
        let Some(selection) = &self.selection else { return };
        let is_there = |op: &OpNamespace| *op.database == *database && *op.collection == *collection;
        if !self.own.namespace.as_deref().is_some_and(is_there) {
            return;
        }
        let mut selection = Selection::clone(selection);
        let is_fed =
            operations.iter().any(|operation| selection.select(database, collection, *operation).is_some());
        if is_fed && !self.shared_context().is_reported.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                event = "plugin.feed_itself",
                plugin = &*self.setup.name,
                op = self.op,
                namespace,
                help = "let its filter skip these ops, or subscribe to other namespaces or operations",
                "the plugin writes to a namespace that it subscribes to; it receives its own writes, endlessly if it writes on each"
            );
        }
    }
}

/// Returns a command as Extended JSON.
fn shown(command: &RawDocument) -> Value {
    let mut json = Vec::new();
    let written = write(command, Form::Relaxed, &mut json).ok();
    written.and_then(|()| serde_json::from_slice(&json).ok()).unwrap_or_else(|| json!("not valid BSON"))
}

fn array<'a>(documents: impl IntoIterator<Item = &'a RawDocument>) -> RawArrayBuf {
    let mut array = RawArrayBuf::new();
    documents.into_iter().for_each(|document| array.push(document));
    array
}

impl Host for MongodbView<'_> {
    async fn find(
        &mut self,
        namespace: String,
        filter: Vec<u8>,
        options: FindOptions,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let (cluster, Namespace { db, coll }) = self.access(NamespaceAccess::Read, &namespace)?;
        let FindOptions { projection, sort, skip, limit } = &options;
        let filter = parse(&filter)?;
        let projection = projection.as_deref().map(parse).transpose()?;
        let sort = sort.as_deref().map(parse).transpose()?;
        let mut command = rawdoc! { "find": coll, "filter": filter.to_owned() };
        for (name, document) in [(cstr!("projection"), projection), (cstr!("sort"), sort)] {
            if let Some(document) = document {
                command.append(name, document);
            }
        }
        if let Some(skip) = skip {
            command.append(cstr!("skip"), i64::try_from(*skip).unwrap_or(i64::MAX));
        }
        // One more than are returned shows that there are too many. 0 would mean no limit.
        let most = i64::try_from(MAX_DOCUMENTS + 1).unwrap_or(i64::MAX);
        let limit = limit.filter(|limit| *limit > 0).map_or(most, i64::from).min(most);
        command.append(cstr!("limit"), limit);
        self.query(&cluster, &db, command).await
    }

    async fn aggregate(&mut self, namespace: String, pipeline: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, Error> {
        let (cluster, Namespace { db, coll }) = self.access(NamespaceAccess::Read, &namespace)?;
        let pipeline = pipeline.iter().map(|stage| parse(stage)).collect::<Result<Vec<_>, _>>()?;
        let command = rawdoc! { "aggregate": coll, "pipeline": array(pipeline), "cursor": {} };
        self.query(&cluster, &db, command).await
    }

    async fn insert(&mut self, namespace: String, documents: Vec<Vec<u8>>) -> Result<(), Error> {
        let (cluster, Namespace { db, coll }) = self.access(NamespaceAccess::Write, &namespace)?;
        let bytes: usize = documents.iter().map(Vec::len).sum();
        if documents.is_empty() || documents.len() > MAX_INSERTED || bytes > MAX_BYTES {
            let error = if documents.is_empty() { Error::Invalid } else { Error::TooLarge };
            return Err(error(format!(
                "a call inserts 1 to {MAX_INSERTED} documents of at most {} MiB together, and this one has {} of {bytes} bytes",
                MAX_BYTES >> 20,
                documents.len()
            )));
        }
        let documents = documents.iter().map(|document| parse(document)).collect::<Result<Vec<_>, _>>()?;
        let command = rawdoc! { "insert": coll, "documents": array(documents), "ordered": true };
        self.write(&namespace, &[OperationType::Insert], &cluster, &db, command).await?;
        Ok(())
    }

    async fn update(
        &mut self,
        namespace: String,
        filter: Vec<u8>,
        update: Vec<u8>,
        options: UpdateOptions,
    ) -> Result<UpdateResult, Error> {
        let (cluster, Namespace { db, coll }) = self.access(NamespaceAccess::Write, &namespace)?;
        let (filter, update) = (parse(&filter)?, parse(&update)?);
        if !reads::has_operators(update) {
            return Err(Error::Invalid(
                "an update must be a document of operators, like {$set: …}. help: use replace to set a whole document"
                    .to_owned(),
            ));
        }
        let UpdateOptions { many, upsert } = options;
        let one = rawdoc! { "q": filter.to_owned(), "u": update.to_owned(), "multi": many, "upsert": upsert };
        self.change(namespace, OperationType::Update, upsert, &cluster, &db, &coll, one).await
    }

    async fn replace(
        &mut self,
        namespace: String,
        filter: Vec<u8>,
        replacement: Vec<u8>,
        upsert: bool,
    ) -> Result<UpdateResult, Error> {
        let (cluster, Namespace { db, coll }) = self.access(NamespaceAccess::Write, &namespace)?;
        let (filter, replacement) = (parse(&filter)?, parse(&replacement)?);
        if reads::has_operators(replacement) {
            return Err(Error::Invalid("a replacement must be a document without operators".to_owned()));
        }
        let one =
            rawdoc! { "q": filter.to_owned(), "u": replacement.to_owned(), "multi": false, "upsert": upsert };
        self.change(namespace, OperationType::Replace, upsert, &cluster, &db, &coll, one).await
    }

    async fn delete(&mut self, namespace: String, filter: Vec<u8>, many: bool) -> Result<u64, Error> {
        let (cluster, Namespace { db, coll }) = self.access(NamespaceAccess::Write, &namespace)?;
        let filter = parse(&filter)?;
        let one = rawdoc! { "q": filter.to_owned(), "limit": i32::from(!many) };
        let command = rawdoc! { "delete": coll, "deletes": [one] };
        let answer = self.write(&namespace, &[OperationType::Delete], &cluster, &db, command).await?;
        Ok(answer.as_ref().map_or(0, answers::deleted))
    }
}

impl MongodbView<'_> {
    #[expect(clippy::too_many_arguments, reason = "what the two commands have in common")]
    async fn change(
        &mut self,
        namespace: String,
        operation: OperationType,
        upsert: bool,
        cluster: &Option<Cluster>,
        database: &str,
        collection: &str,
        one: RawDocumentBuf,
    ) -> Result<UpdateResult, Error> {
        let command = rawdoc! { "update": collection, "updates": [one] };
        let operations = [operation, OperationType::Insert];
        let operations = if upsert { &operations[..] } else { &operations[..1] };
        let answer = self.write(&namespace, operations, cluster, database, command).await?;
        answers::updated(&answer.unwrap_or_else(|| doc! { "n": 1, "nModified": 1 }))
    }
}
