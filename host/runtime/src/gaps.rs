//! What a plugin asks for and does not have, as it is seen before its first op.

use std::collections::BTreeSet;

use super::capabilities::{Entry, GRANTED, without_version};
use super::component::Plugin;
use super::remedy::PluginRemedy;
use super::services::Services;

/// Something that a plugin asks for and does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingGrant {
    /// A capability that it is not granted.
    Grant(&'static str),
    /// A capability that it is granted, and for which the host lacks a mail server, or a store.
    Service(&'static str),
}

impl Plugin {
    /// Returns the capabilities that it imports and that are granted one by one: `http`, `mail`, `mongodb`, `state`.
    pub fn asks(&self) -> BTreeSet<&'static str> {
        self.asked().map(|capability| capability.name).collect()
    }

    fn asked(&self) -> impl Iterator<Item = &'static Entry> {
        let imports = |capability: &&Entry| {
            self.imports().iter().any(|import| capability.imports.contains(&without_version(import)))
        };
        GRANTED.iter().filter(imports)
    }

    /// Returns what it asks for and does not have. In a dry run nothing is done, so that no server is needed.
    pub fn gaps(&self, services: &Services) -> Vec<MissingGrant> {
        let is_granted = |capability: &Entry| self.setup.grants.of(capability.name).is_some();
        let is_dry = services.recorder.is_some();
        let can_be_asked = GRANTED.iter().filter(|capability| !capability.imports.is_empty()).count();
        // A plugin that asks for all, as what is written in some languages does whether it uses them or not, says nothing by it if it
        // is granted some.
        let asks_by_default = self.asked().count() == can_be_asked && self.asked().any(is_granted);
        let gap = |capability: &Entry| match is_granted(capability) {
            false => (!asks_by_default).then_some(MissingGrant::Grant(capability.name)),
            true if is_dry => None,
            true => (capability.lacks)(services, true).map(|_| MissingGrant::Service(capability.name)),
        };
        let mut gaps: Vec<_> = self.asked().filter_map(gap).collect();
        gaps.sort_by_key(|gap| gap.capability());
        gaps
    }

    /// Describes the gaps in one sentence, with what to do about them. None: there are none.
    pub fn gaps_in_words(&self, services: &Services) -> Option<String> {
        let gaps = self.gaps(services);
        let with_entry = |gap: &MissingGrant| Some((*gap, entry(gap.capability())?));
        let gaps: Vec<_> = gaps.iter().filter_map(with_entry).collect();
        let missing = || gaps.iter().filter(|(gap, _)| matches!(gap, MissingGrant::Grant(_)));
        let mut sentences = Vec::new();
        if missing().count() > 0 {
            let names: Vec<_> = missing().map(|(_, capability)| capability.name).collect();
            let forms: Vec<_> = missing().flat_map(|(_, capability)| capability.proposed).copied().collect();
            sentences.push(format!(
                "it asks for {}, which it is not granted{}",
                names.join(", "),
                PluginRemedy::Grants { plugin: self.name(), forms: &forms }
            ));
        }
        if services.recorder.is_none() {
            let lacks = |(gap, capability): &(MissingGrant, &Entry)| {
                (capability.lacks)(services, matches!(gap, MissingGrant::Service(_)))
            };
            sentences.extend(gaps.iter().filter_map(lacks));
        }
        (!sentences.is_empty()).then(|| sentences.join("; "))
    }
}

impl MissingGrant {
    /// Returns the name of the capability.
    pub fn capability(self) -> &'static str {
        match self {
            Self::Grant(capability) | Self::Service(capability) => capability,
        }
    }
}

fn entry(capability: &str) -> Option<&'static Entry> {
    GRANTED.iter().find(|granted| granted.name == capability)
}
