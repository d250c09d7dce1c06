//! The setup of a plugin, which its versions share.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::Grants;
use super::capabilities::Prepared;
use super::digest::ComponentDigest;
use super::limits::Limits;
use super::load_error::SetupError;
use super::remedy::PluginRemedy;
use crate::secret::{Secret, SecretError};

/// What a component is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ComponentKind {
    /// It handles ops.
    #[default]
    Plugin,
    /// It only filters ops, for plugins.
    Filter,
}

impl fmt::Display for ComponentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plugin => "plugin",
            Self::Filter => "filter",
        })
    }
}

/// The setup of a plugin, which its versions share.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginSetup {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub kind: ComponentKind,
    /// The limits of its instances.
    pub limits: Limits,
    /// Its grants.
    pub grants: Grants,
    /// Its config, by key.
    pub config: BTreeMap<String, Secret>,
    /// The keys of its config that are set for several plugins together. It does not get those that it does not declare.
    pub shared_config: BTreeSet<String>,
    /// The digest that its component must have.
    pub sha256: Option<ComponentDigest>,
}

impl PluginSetup {
    /// Makes the setup of a plugin that is granted nothing.
    pub fn new(name: &str, limits: Limits) -> Self {
        Self {
            name: name.to_owned(),
            kind: ComponentKind::Plugin,
            limits,
            grants: Grants::default(),
            config: BTreeMap::new(),
            shared_config: BTreeSet::new(),
            sha256: None,
        }
    }
}

/// A setup that is ready for use.
pub(super) struct Setup {
    pub(super) name: Arc<str>,
    pub(super) kind: ComponentKind,
    pub(super) limits: Limits,
    pub(super) grants: Grants,
    pub(super) config: BTreeMap<String, String>,
    pub(super) shared_config: BTreeSet<String>,
    /// The prepared grants of the capabilities.
    pub(super) prepared: Prepared,
    pub(super) sha256: Option<ComponentDigest>,
}

impl Setup {
    pub(super) fn new(setup: &PluginSetup) -> Result<Self, SetupError> {
        let PluginSetup { name, kind, limits, grants, config, shared_config, sha256 } = setup;
        let unreadable = |what: String| {
            move |reason: SecretError| SetupError::Secret { plugin: name.clone(), what, reason }
        };
        let read = |(key, value): (&String, &Secret)| {
            let value = value.read().map_err(unreadable(format!("the value of {key} in its config")))?;
            Ok((key.clone(), value))
        };
        let config = config.iter().map(read).collect::<Result<_, _>>()?;
        let prepared = Prepared::new(name, grants, limits)?;
        Ok(Self {
            name: name.as_str().into(),
            kind: *kind,
            limits: *limits,
            grants: grants.clone(),
            config,
            shared_config: shared_config.clone(),
            prepared,
            sha256: sha256.clone(),
        })
    }

    /// Returns the end of a sentence: the time limit of a call, and how to raise it.
    pub(super) fn call_timeout_in_words(&self) -> String {
        let time = humantime::format_duration(self.limits.call_timeout);
        format!("{time}, the limit of one call{}", self.raise(&["call_timeout"]))
    }

    /// Returns how to raise limits of this plugin.
    pub(super) fn raise<'a>(&'a self, limits: &'a [&'static str]) -> PluginRemedy<'a> {
        PluginRemedy::Limits { component: Some((self.kind, &self.name)), limits }
    }
}
