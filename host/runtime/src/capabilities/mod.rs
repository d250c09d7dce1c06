//! What a plugin can do beyond computing: one folder per capability, with its grant, its contexts and its functions.
//!
//! To add one: a folder with a type that implements [`Capability`] and, if it is granted, [`GrantedCapability`]; a line in the list
//! below; and a feature of the crate, without which it is left out. Settings, grants, the linker, and the checks of imports and of
//! missing grants read that list.

#[cfg(any(feature = "http", feature = "tcp"))]
mod addresses;
mod capability;
mod config;
#[cfg(feature = "dirs")]
mod dirs;
#[cfg(feature = "env")]
mod env;
mod extended_json;
#[cfg(any(feature = "http", feature = "tcp"))]
mod host_pattern;
#[cfg(feature = "http")]
pub(super) mod http;
mod linking;
mod list;
pub(super) mod log;
#[cfg(feature = "mail")]
pub(super) mod mail;
mod metrics;
#[cfg(feature = "mongodb")]
pub(super) mod mongodb;
#[cfg(feature = "state")]
mod state;
#[cfg(feature = "tcp")]
mod tcp;

pub(crate) use capability::{Capability, CapabilityView, GrantedCapability, ListedCapability, ViewOf};
#[cfg(feature = "dirs")]
pub use dirs::DirGrant;
#[cfg(feature = "http")]
pub use http::{AwsSignature, HttpAnswer, HttpGrant, InvalidHttpGrant, InvalidPathPattern, PathPattern};
pub(crate) use linking::{Linking, without_version};
pub(crate) use list::{AlwaysGranted, CapabilityEntry};
#[cfg(feature = "mail")]
pub use mail::{AddressPattern, InvalidAddressPattern, MailGrant, Mailer, MailerError};
#[cfg(feature = "mongodb")]
pub use mongodb::{MongodbGrants, NamespaceGrant};
#[cfg(feature = "tcp")]
pub use tcp::{InvalidTcpGrant, TcpGrant};

list::capabilities! {
    always: [log::Log, config::Config, extended_json::ExtendedJson, metrics::Metrics],
    granted: [
        /// Send mail through the host's mail server.
        #[serde(deserialize_with = "mail::deserialize")]
        "mail" mail: Option<MailGrant> = mail::Mail,
        /// Keep values in the store of the checkpoints.
        "state" state: bool = state::State,
        /// Send requests to these servers.
        "http" http: Vec<HttpGrant> = http::Http,
        /// Connect to these servers.
        "tcp" tcp: Vec<TcpGrant> = tcp::Tcp,
        /// Use the cluster.
        "mongodb" mongodb: MongodbGrants = mongodb::Mongodb,
        /// See these variables of the host's environment.
        "env" env: Vec<String> = env::Env,
        /// Use these directories.
        "dirs" dirs: Vec<DirGrant> = dirs::Dirs,
    ],
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_capability_is_found_only_by_its_own_names() {
        let (mut names, mut forms, mut imports) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for capability in GRANTED {
            assert!(names.insert(capability.name), "{}", capability.name);
            assert!(capability.imports.iter().all(|import| imports.insert(*import)), "{}", capability.name);
            assert!(!capability.forms.is_empty() && !capability.proposed.is_empty(), "{}", capability.name);
            for form in capability.forms {
                let name = form.split('=').next().unwrap();
                assert!(forms.insert(name), "{name}");
                // Only the capability with this form recognizes the name; whether the value is valid does not matter.
                let value = form.contains('=').then_some("");
                let parsers = GRANTED.iter().filter(|other| (other.parse)(name, value).is_some());
                assert_eq!(
                    parsers.map(|parser| parser.name).collect::<Vec<_>>(),
                    [capability.name],
                    "{form}"
                );
            }
        }
        assert_eq!(
            ALWAYS.iter().flat_map(|always| always.imports).find(|import| imports.contains(*import)),
            None
        );
        let world = include_str!("../../../../wit/0.2/world.wit");
        let (_, sdk) = world.split_once("world capabilities {").unwrap();
        let (sdk, _) = sdk.split_once('}').unwrap();
        let granted: Vec<_> = GRANTED
            .iter()
            .flat_map(|capability| capability.imports)
            .filter_map(|import| import.strip_prefix("gtm:plugin/"))
            .collect();
        for name in &granted {
            assert!(sdk.contains(&format!("import {name};")), "{name}");
        }
        assert_eq!(sdk.matches("import ").count(), granted.len() + ALWAYS.len());
    }

    #[test]
    fn everything_excludes_files_and_the_environment() {
        let everything = Grants::everything();
        let granted = |capability: &&CapabilityEntry| everything.of(capability.name).is_some();
        let granted: Vec<_> = GRANTED.iter().filter(granted).map(|capability| capability.name).collect();
        assert_eq!(granted, ["mail", "state", "http", "tcp", "mongodb"]);
    }
}
