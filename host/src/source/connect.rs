//! Connects to MongoDB and says in one sentence, with the remedy, why a deployment cannot be followed.

use std::time::Duration;

use bson::{Document, RawDocumentBuf, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::{ClientOptions, ServerAddress};
use mongodb::{Client, Namespace};

use crate::op::Timestamp;

/// How long a server is looked for where the URI does not say. The driver's own 30 seconds are long
/// for somebody at a terminal who mistyped a port.
const SERVER_SELECTION: Duration = Duration::from_secs(10);

const UNAUTHORIZED: i32 = 13;
const AUTHENTICATION_FAILED: i32 = 18;

/// Why a deployment cannot be followed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ConnectError {
    #[error(
        "the MongoDB URI cannot be understood: {reason}. It should look like mongodb://localhost:27017 or \
         mongodb://USER:PASSWORD@HOST:PORT/?authSource=admin, with %-escapes for signs like @ and / in the password"
    )]
    Uri { reason: String },
    #[error(
        "no MongoDB answers at {hosts}: {reason}. Is mongod running there, and do host and port (--uri or MONGODB_URI) fit?"
    )]
    Unreachable { hosts: String, reason: String },
    #[error(
        "MongoDB at {hosts} refuses the user name or password: {reason}. Check both, and authSource, in --uri or MONGODB_URI"
    )]
    Authentication { hosts: String, reason: String },
    #[error(
        "no TLS connection with MongoDB at {hosts}: {reason}. If the server uses no TLS, leave tls=true out of the URI; if it \
         does, add it, with tlsCAFile=FILE where its certificate is signed by an authority of your own"
    )]
    Tls { hosts: String, reason: String },
    #[error(
        "the MongoDB at {hosts} is a standalone server, which keeps no oplog. Make it a replica set of one member: start \
         mongod with --replSet rs0, and run rs.initiate() once in mongosh"
    )]
    Standalone { hosts: String },
    #[error(
        "{hosts} is a mongos, the router of a sharded cluster, which has no oplog. Give the URI of a shard's replica set \
         instead, one gtm-host for each shard"
    )]
    Mongos { hosts: String },
    #[error(
        "this user may not read {oplog}. Let an administrator grant it, in mongosh: \
         db.getSiblingDB(\"admin\").grantRolesToUser(\"USER\", [{{role: \"read\", db: \"{db}\"}}])", db = oplog.db
    )]
    Unauthorized { oplog: Namespace },
    #[error("MongoDB at {hosts} cannot be asked what it is: {reason}")]
    Other { hosts: String, reason: String },
}

/// What is followed.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The name of the replica set.
    pub replica_set: String,
    /// Up to here a majority has the oplog, so that nothing of it can be rolled back.
    pub majority: Timestamp,
}

/// Connects, and makes sure that it is a replica set whose oplog may be read.
///
/// # Errors
/// See [`ConnectError`]. A server that does not answer is an error after the URI's
/// `serverSelectionTimeoutMS`, by default 10 seconds.
pub async fn connect(uri: &str, oplog: &Namespace) -> Result<(Client, Deployment), ConnectError> {
    let mut options = ClientOptions::parse(uri).await.map_err(|error| ConnectError::Uri { reason: sentence(&error) })?;
    options.app_name.get_or_insert_with(|| "gtm-host".to_owned());
    options.server_selection_timeout.get_or_insert(SERVER_SELECTION);
    let hosts = hosts(&options.hosts);
    let client = Client::with_options(options).map_err(|error| failed(&hosts, &error))?;

    let hello = client.database("admin").run_command(doc! { "hello": 1 }).await.map_err(|error| failed(&hosts, &error))?;
    let replica_set = replica_set(&hello, &hosts)?;
    may_read(&client, oplog, &hosts).await?;
    let majority = majority(&hello).unwrap_or_default();
    Ok((client, Deployment { replica_set, majority }))
}

fn replica_set(hello: &Document, hosts: &str) -> Result<String, ConnectError> {
    if hello.get_str("msg").is_ok_and(|message| message == "isdbgrid") {
        return Err(ConnectError::Mongos { hosts: hosts.to_owned() });
    }
    let name = hello.get_str("setName").map_err(|_| ConnectError::Standalone { hosts: hosts.to_owned() })?;
    Ok(name.to_owned())
}

fn majority(hello: &Document) -> Option<Timestamp> {
    let last_write = hello.get_document("lastWrite").ok()?;
    let time = last_write.get_document("majorityOpTime").or_else(|_| last_write.get_document("opTime")).ok()?;
    time.get_timestamp("ts").ok().map(Timestamp::from)
}

async fn may_read(client: &Client, oplog: &Namespace, hosts: &str) -> Result<(), ConnectError> {
    let collection = client.database(&oplog.db).collection::<RawDocumentBuf>(&oplog.coll);
    match collection.find_one(doc! {}).projection(doc! { "ts": 1 }).await {
        Ok(_) => Ok(()),
        Err(error) if command_code(&error) == Some(UNAUTHORIZED) => {
            Err(ConnectError::Unauthorized { oplog: oplog.clone() })
        }
        Err(error) => Err(failed(hosts, &error)),
    }
}

fn failed(hosts: &str, error: &Error) -> ConnectError {
    let (hosts, reason) = (hosts.to_owned(), sentence(error));
    let refused = matches!(*error.kind, ErrorKind::Authentication { .. })
        || command_code(error) == Some(AUTHENTICATION_FAILED)
        || reason.contains("SCRAM");
    if refused {
        ConnectError::Authentication { hosts, reason }
    } else if is_tls(&reason) {
        ConnectError::Tls { hosts, reason }
    } else if matches!(*error.kind, ErrorKind::ServerSelection { .. } | ErrorKind::Io(_) | ErrorKind::DnsResolve { .. }) {
        ConnectError::Unreachable { hosts, reason }
    } else {
        ConnectError::Other { hosts, reason }
    }
}

/// The driver reports TLS failures as I/O errors, told apart by their text only.
fn is_tls(reason: &str) -> bool {
    ["certificate", "handshake", "TLS", "InvalidContentType", "corrupt message", "tls"].iter().any(|sign| reason.contains(sign))
}

/// The code of a server's error reply.
pub(super) fn command_code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}

/// What went wrong, in a few words: of the driver's long report on server selection the first
/// server's error only, and of a server's error its message.
pub fn sentence(error: &Error) -> String {
    let text = match &*error.kind {
        ErrorKind::Command(command) => return format!("{} (code {}, {})", command.message, command.code, command.code_name),
        ErrorKind::ServerSelection { message, .. } => message.clone(),
        kind => kind.to_string(),
    };
    let cause = text.split_once("Error: ").map_or(text.as_str(), |(_, cause)| cause);
    let cause = cause.split_once(", labels: ").map_or(cause, |(cause, _)| cause);
    cause.trim_start_matches("Kind: ").trim_end_matches(['.', ' ', '}', ']']).to_owned()
}

fn hosts(addresses: &[ServerAddress]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
