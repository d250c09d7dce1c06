//! Finds what a plugin imports and lacks, before its first op.

use std::collections::BTreeSet;

use super::capabilities::{CapabilityEntry, GRANTED, without_version};
use super::component::Plugin;
use super::remedy::PluginRemedy;
use super::services::Services;

/// Something that a plugin imports and lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingGrant {
    /// The plugin is not granted this capability.
    Grant(&'static str),
    /// The plugin is granted this capability, but the host lacks a mail server or a store for it.
    Service(&'static str),
}

impl Plugin {
    /// Returns the names of the capabilities that it imports and that need a grant: `http`, `mail`, `mongodb`, `state`, `tcp`. Some
    /// languages import `tcp` in every plugin.
    pub fn asks(&self) -> BTreeSet<&'static str> {
        let may_use = |capability: &&CapabilityEntry| self.imports_any(capability.maybe_imports);
        let maybe = GRANTED.iter().filter(may_use);
        self.asked().chain(maybe).map(|capability| capability.name).collect()
    }

    fn asked(&self) -> impl Iterator<Item = &'static CapabilityEntry> {
        GRANTED.iter().filter(|capability| self.imports_any(capability.imports))
    }

    fn imports_any(&self, interfaces: &[&str]) -> bool {
        self.imports().iter().any(|import| interfaces.contains(&without_version(import)))
    }

    /// Returns what it imports and lacks. A dry run has no effects, so it needs no server.
    pub fn gaps(&self, services: &Services) -> Vec<MissingGrant> {
        let is_granted = |capability: &CapabilityEntry| self.setup.grants.of(capability.name).is_some();
        let is_dry = services.recorder.is_some();
        let can_be_asked = GRANTED.iter().filter(|capability| !capability.imports.is_empty()).count();
        // In some languages, a plugin imports all capabilities whether it uses them or not. If some are granted, the others are not missing.
        let asks_by_default = self.asked().count() == can_be_asked && self.asked().any(is_granted);
        let gap = |capability: &CapabilityEntry| match is_granted(capability) {
            false => (!asks_by_default).then_some(MissingGrant::Grant(capability.name)),
            true if is_dry => None,
            true => (capability.lacks)(services, true).map(|_| MissingGrant::Service(capability.name)),
        };
        let mut gaps: Vec<_> = self.asked().filter_map(gap).collect();
        gaps.sort_by_key(|gap| gap.capability());
        gaps
    }

    /// Describes in one sentence what it lacks, with the remedy. None: it lacks nothing.
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
            let lacks = |(gap, capability): &(MissingGrant, &CapabilityEntry)| {
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

fn entry(capability: &str) -> Option<&'static CapabilityEntry> {
    GRANTED.iter().find(|granted| granted.name == capability)
}
