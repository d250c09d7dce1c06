//! Remedies for errors of the connection to MongoDB, and of patterns of namespaces.

use std::borrow::Cow;

use gtm_mongo::ConnectError;
use gtm_oplog::PatternError;

use super::Remedy;

impl Remedy for ConnectError {
    fn remedy(&self) -> Option<Cow<'static, str>> {
        Some(match self {
            Self::Unreachable { .. } => {
                "start mongod there, correct host and port in --uri or MONGODB_URI, or add tls=true to the URI if the server \
                 uses TLS"
                    .into()
            }
            Self::NoCredential { .. } => {
                "add user and password to --uri or MONGODB_URI, as in mongodb://USER:PASSWORD@HOST/?authSource=admin".into()
            }
            Self::Authentication { .. } => {
                "correct user name, password and authSource in --uri or MONGODB_URI".into()
            }
            Self::Mongos { .. } => {
                "read its change stream with --source-kind change-stream, or run one gtm-host per shard, each with --uri and the \
                 replica set of its shard"
                    .into()
            }
            Self::Unauthorized { oplog } => format!(
                "read a change stream with --source-kind change-stream, or ask an administrator to run this in mongosh: \
                 db.getSiblingDB(\"admin\").grantRolesToUser(\"USER\", [{{role: \"read\", db: \"{}\"}}])",
                oplog.db
            )
            .into(),
            _ => return None,
        })
    }
}

impl Remedy for PatternError {
    fn remedy(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::OfHost { database, .. } => Some(
                format!("if {database} is a database of your own, give the host another one with --store-database NAME").into(),
            ),
            _ => None,
        }
    }
}
