//! What a plugin asks for and does not have, as it is seen before its first op.

use std::collections::BTreeSet;

use super::capabilities::mail::NO_SERVER;
use super::component::Plugin;
use super::services::Services;

/// How many capabilities are granted one by one.
const ALL: usize = 4;

/// Something that a plugin asks for and does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingGrant {
    /// A capability that it is not granted.
    Grant(&'static str),
    /// It may send mail, and the host has no mail server.
    MailServer,
    /// It may keep values, and the host keeps nothing.
    Store,
}

impl Plugin {
    /// The capabilities that it imports and that are granted one by one: `http`, `mail`, `mongodb`, `state`.
    pub fn asks(&self) -> BTreeSet<&'static str> {
        let capability = |import: &String| match import.split('@').next().unwrap_or_default() {
            "gtm:plugin/http" | "wasi:http/outgoing-handler" => Some("http"),
            "gtm:plugin/mail" => Some("mail"),
            "gtm:plugin/mongodb" => Some("mongodb"),
            "gtm:plugin/state" => Some("state"),
            _ => None,
        };
        self.imports().iter().filter_map(capability).collect()
    }

    /// What it asks for and does not have. In a dry run nothing is done, so no server is needed.
    pub fn gaps(&self, services: &Services) -> Vec<MissingGrant> {
        let is_dry = services.recorder.is_some();
        let has_store = services.store.as_ref().is_some_and(|(store, _)| store.keeps());
        let gap = |capability| match capability {
            _ if self.setup.grants.of(capability).is_none() => Some(MissingGrant::Grant(capability)),
            "mail" if !is_dry && services.mailer.is_none() => Some(MissingGrant::MailServer),
            "state" if !is_dry && !has_store => Some(MissingGrant::Store),
            _ => None,
        };
        let asks = self.asks();
        let is_granted = |capability: &&str| self.setup.grants.of(capability).is_some();
        let gaps = asks.iter().copied().filter_map(gap);
        // What asks for all, as what is written in some languages does whether it uses them or not, says nothing by it where it is
        // granted some.
        if asks.len() == ALL && asks.iter().any(is_granted) {
            return gaps.filter(|gap| !matches!(gap, MissingGrant::Grant(_))).collect();
        }
        gaps.collect()
    }

    /// The gaps in one sentence, with what to say so that they are closed. None: there are none.
    pub fn gaps_in_words(&self, services: &Services) -> Option<String> {
        let gaps = self.gaps(services);
        let capabilities: Vec<_> = gaps
            .iter()
            .filter_map(|gap| match gap {
                MissingGrant::Grant(capability) => Some(*capability),
                MissingGrant::MailServer | MissingGrant::Store => None,
            })
            .collect();
        let mut sentences = Vec::new();
        let sends_without_server = services.recorder.is_none() && services.mailer.is_none();
        if !capabilities.is_empty() {
            let flags: Vec<_> = capabilities.iter().map(|capability| flag(self.name(), capability)).collect();
            sentences.push(format!(
                "it asks for {}, which it is not granted: say {}, or set it under [plugins.{}.grants] in gtm.toml",
                capabilities.join(", "),
                flags.join(" "),
                self.name()
            ));
        }
        // To grant it mail is of no use alone.
        if gaps.contains(&MissingGrant::MailServer) || capabilities.contains(&"mail") && sends_without_server
        {
            sentences.push(NO_SERVER.to_owned());
        }
        if gaps.contains(&MissingGrant::Store) {
            sentences.push(
                "it may keep values, and this host keeps nothing: say --store mongodb or --store file:DIR"
                    .to_owned(),
            );
        }
        (!sentences.is_empty()).then(|| sentences.join("; "))
    }
}

/// How a capability is granted on the command line.
fn flag(plugin: &str, capability: &str) -> String {
    match capability {
        "http" => format!("--grant {plugin}:http=SERVER"),
        "mongodb" => {
            format!("--grant {plugin}:mongodb-read=DB.COLL --grant {plugin}:mongodb-write=DB.COLL")
        }
        other => format!("--grant {plugin}:{other}"),
    }
}
