//! Chooses whether to read the oplog or a change stream.

use bson::{RawDocumentBuf, doc};
use gtm_mongo::server_error::{UNAUTHORIZED, command_code};
use gtm_mongo::{ConnectError, Deployment, Topology};
use mongodb::{Client, Namespace};
use serde::Deserialize;

/// The kind of source that the user asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// The oplog if it can be read, otherwise a change stream.
    #[default]
    Auto,
    /// The oplog.
    Oplog,
    /// A change stream.
    ChangeStream,
}

/// The source that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolvedSource {
    /// The oplog of a replica set, or another capped collection.
    Oplog(Namespace),
    /// A change stream, with the reason unless the user asked for it.
    ChangeStream(Option<String>),
}

/// The domain of Atlas, whose oplog the provider controls.
const ATLAS_DOMAIN: &str = ".mongodb.net";

/// Chooses the source to read. `oplog` is the collection to read, if the user specifies one.
///
/// # Errors
/// The source cannot be read. See [`ConnectError`].
pub async fn choose(
    client: &Client,
    deployment: &Deployment,
    kind: SourceKind,
    oplog: Option<&Namespace>,
) -> Result<ResolvedSource, ConnectError> {
    let hosts = &deployment.hosts;
    let kind = if oplog.is_some() && kind == SourceKind::Auto { SourceKind::Oplog } else { kind };
    match (kind, &deployment.topology) {
        (SourceKind::ChangeStream, _) => return Ok(ResolvedSource::ChangeStream(None)),
        (SourceKind::Oplog, Topology::Sharded) => {
            return Err(ConnectError::Mongos { hosts: hosts.clone() });
        }
        (SourceKind::Auto, Topology::Sharded) => {
            return Ok(ResolvedSource::ChangeStream(Some(format!(
                "{hosts} is a mongos, which has no oplog"
            ))));
        }
        (SourceKind::Auto, _) if is_on_atlas(hosts) => {
            return Ok(ResolvedSource::ChangeStream(Some(format!("{hosts} is on Atlas"))));
        }
        (_, Topology::ReplicaSet(_)) => {}
    }
    let oplog = oplog.cloned().unwrap_or_else(|| Namespace::new("local", "oplog.rs"));
    match check_readable(client, deployment, &oplog).await {
        Ok(()) => Ok(ResolvedSource::Oplog(oplog)),
        Err(ConnectError::Unauthorized { oplog }) if kind == SourceKind::Auto => {
            Ok(ResolvedSource::ChangeStream(Some(format!("this user may not read {oplog}"))))
        }
        Err(error) => Err(error),
    }
}

fn is_on_atlas(hosts: &str) -> bool {
    hosts.split(", ").any(|host| host.split(':').next().is_some_and(|name| name.ends_with(ATLAS_DOMAIN)))
}

async fn check_readable(
    client: &Client,
    deployment: &Deployment,
    oplog: &Namespace,
) -> Result<(), ConnectError> {
    let collection = client.database(&oplog.db).collection::<RawDocumentBuf>(&oplog.coll);
    match collection.find_one(doc! {}).projection(doc! { "ts": 1 }).await {
        Ok(_) => Ok(()),
        Err(error) if command_code(&error) == Some(UNAUTHORIZED) && deployment.credential => {
            Err(ConnectError::Unauthorized { oplog: oplog.clone() })
        }
        Err(error) if command_code(&error) == Some(UNAUTHORIZED) => {
            Err(ConnectError::NoCredential { hosts: deployment.hosts.clone() })
        }
        Err(error) => Err(deployment.explain(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_managed_cluster_is_recognized_by_its_name() {
        assert!(is_on_atlas("a-shard-00-00.x.mongodb.net:27017, b:1"));
        assert!(!is_on_atlas("mongodb.network:27017"));
    }
}
