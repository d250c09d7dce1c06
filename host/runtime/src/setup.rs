//! How a plugin is set up, whatever its version.

use std::collections::BTreeMap;
use std::sync::Arc;

use gtm_text::sanitize::size_in_memory;

use super::Grants;
use super::capabilities::Prepared;
use super::digest::ComponentDigest;
use super::limits::Limits;
use super::load_error::SetupError;
use crate::secret::{NoSecret, Secret};

/// How a plugin is set up, whatever its version.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginSetup {
    /// What it is called in logs.
    pub name: String,
    /// What it may take.
    pub limits: Limits,
    /// What it may do.
    pub grants: Grants,
    /// What it reads as its config.
    pub config: BTreeMap<String, Secret>,
    /// The digest that its component must have.
    pub sha256: Option<ComponentDigest>,
}

impl PluginSetup {
    /// Makes the setup of a plugin that is granted nothing.
    pub fn new(name: &str, limits: Limits) -> Self {
        let (grants, config) = (Grants::default(), BTreeMap::new());
        Self { name: name.to_owned(), limits, grants, config, sha256: None }
    }
}

/// The setup of a plugin, ready for use.
pub(super) struct Setup {
    pub(super) name: Arc<str>,
    pub(super) limits: Limits,
    pub(super) grants: Grants,
    pub(super) config: BTreeMap<String, String>,
    /// What the capabilities make of the grants.
    pub(super) prepared: Prepared,
    pub(super) sha256: Option<ComponentDigest>,
}

impl Setup {
    pub(super) fn new(setup: &PluginSetup) -> Result<Self, SetupError> {
        let PluginSetup { name, limits, grants, config, sha256 } = setup;
        let told =
            |what: String| move |reason: NoSecret| SetupError::Secret { plugin: name.clone(), what, reason };
        let read = |(key, value): (&String, &Secret)| {
            let value = value.read().map_err(told(format!("the value of {key} in its config")))?;
            Ok((key.clone(), value))
        };
        let config = config.iter().map(read).collect::<Result<_, _>>()?;
        let prepared = Prepared::new(name, grants, limits)?;
        Ok(Self {
            name: name.as_str().into(),
            limits: *limits,
            grants: grants.clone(),
            config,
            prepared,
            sha256: sha256.clone(),
        })
    }

    /// Returns the time limit of a call, and how it is set, in words.
    pub(super) fn call_timeout_in_words(&self) -> String {
        format!(
            "{}, the limit of one call (--limits-call-timeout, or [plugins.{}.limits] call_timeout in gtm.toml)",
            humantime::format_duration(self.limits.call_timeout),
            self.name
        )
    }

    /// Returns the size limit of a body, and how it is set, in words.
    pub(super) fn http_bytes_in_words(&self) -> String {
        let most = size_in_memory(self.limits.http_bytes);
        format!("{most} ([plugins.{}.limits] http_bytes in gtm.toml)", self.name)
    }
}
