//! Connects to MongoDB and explains in one sentence why a deployment cannot be followed.
//!
//! The sentences name neither flags nor settings of the host: whoever owns those adds the remedy.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::Tls;
use mongodb::{Client, Namespace};

use super::server_error::{command_code, sentence};
use super::uri;

/// The server selection timeout if the URI does not specify one. The driver's own 30 seconds are long for a user at a
/// terminal who mistyped a port.
const SERVER_SELECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// The interval between two checks of a server by the driver. A failover takes at most this much longer than the
/// election.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(2);

/// The wait for a server after which the log says which server is awaited.
const NOTICE_DELAY: Duration = Duration::from_secs(1);

const AUTHENTICATION_FAILED: i32 = 18;

/// The reason why a deployment cannot be followed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ConnectError {
    #[error(
        "the MongoDB URI cannot be understood: {reason}. It should look like mongodb://localhost:27017 or \
         mongodb://USER:PASSWORD@HOST:PORT/?authSource=admin"
    )]
    Uri { reason: String },
    #[error(
        "the MongoDB URI cannot be understood: user, password, host and port in it cannot be told apart. \
         help: escape special characters in the user name and the password: %40 for @, %3A for :, %2F for /, %3F for ?, %23 for #, \
         %25 for %"
    )]
    UserInfo,
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
        "MongoDB answers at {hosts}, but no member of its replica set fits the readPreference of the URI. \
         help: leave readPreference out, or use secondaryPreferred"
    )]
    NoMember { hosts: String },
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
        "{hosts} is a mongos, the router of a sharded cluster, which has no oplog. Read its change stream (--source-kind \
         change-stream), or give the URI of a shard's replica set, one gtm-host for each shard"
    )]
    Mongos { hosts: String },
    #[error(
        "this user may not read {oplog}. Read a change stream (--source-kind change-stream), or let an administrator grant it, in mongosh: \
         db.getSiblingDB(\"admin\").grantRolesToUser(\"USER\", [{{role: \"read\", db: \"{db}\"}}])", db = oplog.db
    )]
    Unauthorized { oplog: Namespace },
    #[error("MongoDB at {hosts} cannot be asked what it is: {reason}")]
    Other { hosts: String, reason: String },
}

/// A deployment that the host is connected to.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The hosts in the URI, for messages.
    pub hosts: String,
    /// The kind of deployment.
    pub topology: Topology,
    tls: bool,
    /// Whether the URI has a user name.
    pub credential: bool,
}

/// The kinds of deployment that can be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// A replica set, with its name.
    ReplicaSet(String),
    /// A sharded cluster, reached through a mongos.
    Sharded,
}

impl fmt::Display for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.topology {
            Topology::ReplicaSet(name) => write!(f, "the replica set {name}"),
            Topology::Sharded => write!(f, "the sharded cluster at {}", self.hosts),
        }
    }
}

/// Checks that a URI is valid. It contacts no server and looks up no name.
///
/// # Errors
/// The URI is not valid.
pub fn check(uri: &str) -> Result<(), ConnectError> {
    uri::check(uri).map_err(|error| not_parsed(uri, &error))
}

/// The maximum number of connections that plugins use at the same time.
const MAX_PLUGIN_CONNECTIONS: u32 = 32;

/// Returns a client for the reads and writes of plugins, and the names of its hosts. It has connections of its own, so
/// plugins take none from the host's reading. It contacts no server yet.
///
/// # Errors
/// The URI is not valid.
pub async fn client_for_plugins(uri: &str) -> Result<(Client, String), ConnectError> {
    let mut options = uri::parse(uri).await.map_err(|error| not_parsed(uri, &error))?;
    options.app_name = Some("gtm-host plugins".to_owned());
    options.server_selection_timeout.get_or_insert(SERVER_SELECTION_TIMEOUT);
    options.heartbeat_freq.get_or_insert(HEARTBEAT_INTERVAL);
    options.max_pool_size = Some(MAX_PLUGIN_CONNECTIONS);
    let hosts = hosts(&options);
    let client = Client::with_options(options).map_err(|error| not_parsed(uri, &error))?;
    Ok((client, hosts))
}

/// Connects to a deployment and checks that it can be followed. `connections` is the number of connections needed at
/// the same time.
///
/// # Errors
/// See [`ConnectError`]. A server that does not answer is an error after the URI's `serverSelectionTimeoutMS`, by
/// default 10 seconds.
pub async fn connect(uri: &str, connections: u32) -> Result<(Client, Deployment), ConnectError> {
    let mut options = uri::parse(uri).await.map_err(|error| not_parsed(uri, &error))?;
    uri::warn_of_ignored(uri);
    options.app_name.get_or_insert_with(|| "gtm-host".to_owned());
    options.server_selection_timeout.get_or_insert(SERVER_SELECTION_TIMEOUT);
    // After some errors the driver considers a server lost until its next check, which comes after 10 seconds by
    // default.
    options.heartbeat_freq.get_or_insert(HEARTBEAT_INTERVAL);
    // The driver's default is 10, and each tailing cursor occupies a connection.
    options.max_pool_size.get_or_insert(connections.max(10));
    let mut deployment = Deployment {
        hosts: hosts(&options),
        topology: Topology::Sharded,
        tls: matches!(options.tls, Some(Tls::Enabled(_))),
        credential: options.credential.is_some(),
    };
    let client = Client::with_options(options).map_err(|error| deployment.explain(&error))?;

    let database = client.database("admin");
    let asked = async { database.run_command(doc! { "hello": 1 }).await };
    let hello = with_notice(&deployment.hosts, asked).await;
    let hello = hello.map_err(|error| deployment.explain(&error))?;
    deployment.topology = topology(&hello, &deployment.hosts)?;
    Ok((client, deployment))
}

/// Logs which hosts are awaited if the answer takes long.
async fn with_notice<T>(hosts: &str, asked: impl Future<Output = T>) -> T {
    let mut asked = pin!(asked);
    match tokio::time::timeout(NOTICE_DELAY, &mut asked).await {
        Ok(answer) => answer,
        Err(_) => {
            tracing::info!("waiting for MongoDB at {hosts}");
            asked.await
        }
    }
}

fn hosts(options: &mongodb::options::ClientOptions) -> String {
    options.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Returns the kind of deployment that a `hello` reply describes.
fn topology(hello: &Document, hosts: &str) -> Result<Topology, ConnectError> {
    if hello.get_str("msg").is_ok_and(|message| message == "isdbgrid") {
        return Ok(Topology::Sharded);
    }
    let name = hello.get_str("setName");
    let name = name.map_err(|_| ConnectError::Standalone { hosts: hosts.to_owned() })?;
    Ok(Topology::ReplicaSet(name.to_owned()))
}

/// Returns the error for a URI that the driver refuses, without any secret. The driver quotes the part that it found
/// wrong, which may be a piece of a password that contains an unescaped character.
fn not_parsed(uri: &str, error: &Error) -> ConnectError {
    let reason = sentence(error);
    if matches!(*error.kind, ErrorKind::DnsResolve { .. }) {
        return ConnectError::Unreachable { hosts: "the hosts of the URI".to_owned(), reason };
    }
    if uri::is_userinfo_at_fault(uri) {
        return ConnectError::UserInfo;
    }
    let (_, rest) = uri.split_once("://").unwrap_or(("", uri));
    let secret =
        rest.rsplit_once('@').map_or_else(|| rest.split(['/', '?']).next(), |(secret, _)| Some(secret));
    let words = secret.unwrap_or_default().split(|sign: char| !sign.is_alphanumeric());
    if words.filter(|word| word.len() > 1).any(|word| reason.contains(word)) {
        let reason = "a host or port in it is not valid".to_owned();
        return ConnectError::Uri { reason };
    }
    ConnectError::Uri { reason }
}

impl Deployment {
    /// Returns the reason that an error of the driver stands for at this deployment.
    pub fn explain(&self, error: &Error) -> ConnectError {
        let (hosts, reason) = (self.hosts.clone(), sentence(error));
        let unreachable = matches!(
            *error.kind,
            ErrorKind::ServerSelection { .. } | ErrorKind::Io(_) | ErrorKind::DnsResolve { .. }
        );
        if is_authentication(error, &reason) {
            ConnectError::Authentication { hosts, reason }
        } else if has_no_primary(error) {
            ConnectError::NoPrimary { hosts }
        } else if has_no_member(error) {
            ConnectError::NoMember { hosts }
        } else if self.tls && unreachable && !reason.contains("refused") && !reason.contains("lookup") {
            ConnectError::Tls { hosts, reason }
        } else if unreachable {
            ConnectError::Unreachable { hosts, reason }
        } else {
            ConnectError::Other { hosts, reason }
        }
    }
}

/// Returns whether servers answer and none of them is the primary: then the server selection report contains no error.
fn has_no_primary(error: &Error) -> bool {
    let ErrorKind::ServerSelection { message, .. } = &*error.kind else { return false };
    let answered = ["Type: RsGhost", "Type: RsSecondary", "Type: RsOther", "ReplicaSetNoPrimary, Set Name"];
    !message.contains("Error: ") && answered.iter().any(|sign| message.contains(sign))
}

/// Returns whether servers answer, the primary among them, and the URI's read preference allows none of them.
fn has_no_member(error: &Error) -> bool {
    let ErrorKind::ServerSelection { message, .. } = &*error.kind else { return false };
    !message.contains("Error: ") && message.contains("Type: RsPrimary")
}

/// Returns whether the server refused the credentials. The driver mentions a failed login during server selection only
/// in the text of its report.
fn is_authentication(error: &Error, reason: &str) -> bool {
    matches!(*error.kind, ErrorKind::Authentication { .. })
        || command_code(error) == Some(AUTHENTICATION_FAILED)
        || reason.contains("SCRAM")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hello_tells_what_a_server_is() {
        let tell = |hello| topology(&hello, "db:27017").map_err(|error| error.to_string());
        let replica_set = Topology::ReplicaSet("rs0".to_owned());
        assert_eq!(tell(doc! { "isWritablePrimary": true, "setName": "rs0" }), Ok(replica_set));
        // The answer of a mongos: the tests have none to ask.
        assert_eq!(tell(doc! { "isWritablePrimary": true, "msg": "isdbgrid" }), Ok(Topology::Sharded));
        let said = tell(doc! { "isWritablePrimary": true }).unwrap_err();
        assert!(said.starts_with("the MongoDB at db:27017 is a standalone server"), "{said}");
    }
}
