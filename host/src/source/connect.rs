//! Connects to MongoDB and says in one sentence, with the remedy, why a deployment cannot be followed.

use std::time::Duration;

use bson::{Document, RawDocumentBuf, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::{ClientOptions, Tls};
use mongodb::{Client, Namespace};

use super::server_error::{UNAUTHORIZED, command_code, sentence};
use crate::op::Timestamp;

/// How long a server is looked for where the URI does not say. The driver's own 30 seconds are long
/// for somebody at a terminal who mistyped a port.
const SERVER_SELECTION: Duration = Duration::from_secs(10);

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
        "no MongoDB answers at {hosts}: {reason}. Is mongod running there, do host and port (--uri or MONGODB_URI) fit, and \
         does it want TLS (then add tls=true to the URI)?"
    )]
    Unreachable { hosts: String, reason: String },
    #[error(
        "MongoDB answers at {hosts}, but its replica set has no primary. If it is new, run rs.initiate() once in mongosh; if \
         not, see rs.status() there, and whether replicaSet= in the URI has the set's name"
    )]
    NoPrimary { hosts: String },
    #[error(
        "MongoDB at {hosts} wants a login: put user and password into --uri or MONGODB_URI, as in \
         mongodb://USER:PASSWORD@HOST/?authSource=admin"
    )]
    NoCredential { hosts: String },
    #[error(
        "MongoDB at {hosts} refuses the user name or password: {reason}. Check both, and authSource, in --uri or MONGODB_URI"
    )]
    Authentication { hosts: String, reason: String },
    #[error(
        "no TLS connection with MongoDB at {hosts}: {reason}. Can it be reached there? If it uses no TLS, leave tls=true out of the URI; if its \
         certificate is signed by an authority of your own, add tlsCAFile=FILE"
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
    /// Up to here a majority has the oplog, so that nothing of it can be rolled back. None: the server
    /// does not say.
    pub majority: Option<Timestamp>,
}

/// Connects, and makes sure that it is a replica set whose oplog may be read. `connections` are needed
/// at the same time.
///
/// # Errors
/// See [`ConnectError`]. A server that does not answer is an error after the URI's
/// `serverSelectionTimeoutMS`, by default 10 seconds.
pub async fn connect(
    uri: &str,
    oplog: &Namespace,
    connections: u32,
) -> Result<(Client, Deployment), ConnectError> {
    let mut options = ClientOptions::parse(uri).await.map_err(|error| not_parsed(uri, &error))?;
    options.app_name.get_or_insert_with(|| "gtm-host".to_owned());
    options.server_selection_timeout.get_or_insert(SERVER_SELECTION);
    // The driver's own bound is 10, and each tail keeps a connection.
    options.max_pool_size.get_or_insert(connections.max(10));
    let target = Target {
        hosts: options.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        tls: matches!(options.tls, Some(Tls::Enabled(_))),
        credential: options.credential.is_some(),
    };
    let client = Client::with_options(options).map_err(|error| target.failed(&error))?;

    let hello = client.database("admin").run_command(doc! { "hello": 1 }).await;
    let hello = hello.map_err(|error| target.failed(&error))?;
    let replica_set = target.replica_set(&hello)?;
    target.may_read(&client, oplog).await?;
    Ok((client, Deployment { replica_set, majority: majority(&hello) }))
}

/// The driver quotes the part of the URI that it found wrong, which may be a piece of a password with a
/// sign in it that should have been escaped.
fn not_parsed(uri: &str, error: &Error) -> ConnectError {
    let reason = sentence(error);
    if matches!(*error.kind, ErrorKind::DnsResolve { .. }) {
        return ConnectError::Unreachable { hosts: "the hosts of the URI".to_owned(), reason };
    }
    let (_, rest) = uri.split_once("://").unwrap_or(("", uri));
    let secret =
        rest.rsplit_once('@').map_or_else(|| rest.split(['/', '?']).next(), |(secret, _)| Some(secret));
    let words = secret.unwrap_or_default().split(|sign: char| !sign.is_alphanumeric());
    if words.filter(|word| word.len() > 1).any(|word| reason.contains(word)) {
        let reason = "user, password, host and port in it cannot be told apart".to_owned();
        return ConnectError::Uri { reason };
    }
    ConnectError::Uri { reason }
}

fn majority(hello: &Document) -> Option<Timestamp> {
    let last_write = hello.get_document("lastWrite").ok()?;
    let time =
        last_write.get_document("majorityOpTime").or_else(|_| last_write.get_document("opTime")).ok()?;
    time.get_timestamp("ts").ok().map(Timestamp::from)
}

/// What is connected with, for the words of an error.
struct Target {
    hosts: String,
    tls: bool,
    credential: bool,
}

impl Target {
    /// The name of the replica set that `hello` tells of.
    fn replica_set(&self, hello: &Document) -> Result<String, ConnectError> {
        let hosts = self.hosts.clone();
        if hello.get_str("msg").is_ok_and(|message| message == "isdbgrid") {
            return Err(ConnectError::Mongos { hosts });
        }
        let name = hello.get_str("setName").map_err(|_| ConnectError::Standalone { hosts })?;
        Ok(name.to_owned())
    }

    async fn may_read(&self, client: &Client, oplog: &Namespace) -> Result<(), ConnectError> {
        let collection = client.database(&oplog.db).collection::<RawDocumentBuf>(&oplog.coll);
        match collection.find_one(doc! {}).projection(doc! { "ts": 1 }).await {
            Ok(_) => Ok(()),
            Err(error) if command_code(&error) == Some(UNAUTHORIZED) && self.credential => {
                Err(ConnectError::Unauthorized { oplog: oplog.clone() })
            }
            Err(error) if command_code(&error) == Some(UNAUTHORIZED) => {
                Err(ConnectError::NoCredential { hosts: self.hosts.clone() })
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn failed(&self, error: &Error) -> ConnectError {
        let (hosts, reason) = (self.hosts.clone(), sentence(error));
        let unreachable = matches!(
            *error.kind,
            ErrorKind::ServerSelection { .. } | ErrorKind::Io(_) | ErrorKind::DnsResolve { .. }
        );
        if is_authentication(error, &reason) {
            ConnectError::Authentication { hosts, reason }
        } else if has_no_primary(error) {
            ConnectError::NoPrimary { hosts }
        } else if self.tls && unreachable && !reason.contains("refused") && !reason.contains("lookup") {
            ConnectError::Tls { hosts, reason }
        } else if unreachable {
            ConnectError::Unreachable { hosts, reason }
        } else {
            ConnectError::Other { hosts, reason }
        }
    }
}

/// Servers that answer, and none of them the primary: in the report on server selection, none has an
/// error.
fn has_no_primary(error: &Error) -> bool {
    let ErrorKind::ServerSelection { message, .. } = &*error.kind else { return false };
    let answered = ["Type: RsGhost", "Type: RsSecondary", "Type: RsOther", "ReplicaSetNoPrimary, Set Name"];
    !message.contains("Error: ") && answered.iter().any(|sign| message.contains(sign))
}

/// The driver wraps a failure to log in during server selection in its text only.
fn is_authentication(error: &Error, reason: &str) -> bool {
    matches!(*error.kind, ErrorKind::Authentication { .. })
        || command_code(error) == Some(AUTHENTICATION_FAILED)
        || reason.contains("SCRAM")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica_set(hello: Document) -> Result<String, String> {
        let target = Target { hosts: "db:27017".to_owned(), tls: false, credential: true };
        target.replica_set(&hello).map_err(|error| error.to_string())
    }

    #[test]
    fn hello_tells_what_a_server_is() {
        assert_eq!(replica_set(doc! { "isWritablePrimary": true, "setName": "rs0" }), Ok("rs0".to_owned()));
        // As a mongos answers; there is none to test with.
        let said = replica_set(doc! { "isWritablePrimary": true, "msg": "isdbgrid" }).unwrap_err();
        assert!(said.starts_with("db:27017 is a mongos, the router of a sharded cluster"), "{said}");
        assert!(said.contains("Give the URI of a shard's replica set"), "{said}");
        let said = replica_set(doc! { "isWritablePrimary": true }).unwrap_err();
        assert!(said.starts_with("the MongoDB at db:27017 is a standalone server"), "{said}");
    }

    #[test]
    fn the_start_is_what_a_majority_has() {
        let at = |time| doc! { "ts": bson::Timestamp { time, increment: 1 }, "t": 1_i64 };
        let hello = doc! { "lastWrite": { "opTime": at(9), "majorityOpTime": at(7) } };
        assert_eq!(majority(&hello), Some(Timestamp { time: 7, increment: 1 }));
        assert_eq!(majority(&doc! {}), None);
    }
}
