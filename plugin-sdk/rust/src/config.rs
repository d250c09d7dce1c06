//! The plugin's settings: `--set NAME=VALUE`, or its `config` table in `gtm.toml`.

use std::collections::BTreeMap;
use std::fmt::Display;

#[cfg(target_family = "wasm")]
use crate::bindings::gtm::plugin::config as host;
use crate::settings::{SettingValue, Settings};
#[cfg(not(target_family = "wasm"))]
use crate::testing::host::config as host;

/// Returns the value of a setting, or its default. None: it has no value. The value does not change during the life of an instance.
pub fn get(name: &str) -> Option<String> {
    host::get(name)
}

/// The values of all settings, with the defaults, as the plugin gets them when it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config(BTreeMap<String, String>);

impl Config {
    #[doc(hidden)]
    pub fn read() -> Self {
        Self(host::get_all().into_iter().collect())
    }

    /// Returns the value of a setting. None: it has no value. A duration is a number of milliseconds, and a size is a number of bytes.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns the names and values of all settings that have a value, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns the settings that the attribute `#[plugin(settings = …)]` declares.
    ///
    /// # Errors
    /// A value does not have the type of its field. The host checks that before the plugin starts.
    pub fn parse<T: Settings>(&self) -> Result<T, ConfigError> {
        T::parse(self)
    }

    /// Returns the value of one setting.
    ///
    /// # Errors
    /// It is missing, or does not have this type.
    pub fn value<T: SettingValue>(&self, name: &str) -> Result<T, ConfigError> {
        T::parse(self.get(name)).map_err(|reason| ConfigError::new(format!("the setting {name} {reason}")))
    }
}

/// Why a plugin refuses its settings: one sentence, which the host shows to the user. The version is not started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    /// Makes the error of this sentence: `the setting url is x, which is not a URL. help: begin it with https:// or http://`.
    pub fn new(reason: impl Display) -> Self {
        Self(format!("{reason:#}"))
    }
}

impl From<String> for ConfigError {
    fn from(reason: String) -> Self {
        Self(reason)
    }
}

impl From<&str> for ConfigError {
    fn from(reason: &str) -> Self {
        Self(reason.to_owned())
    }
}
