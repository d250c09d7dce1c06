//! The settings of plugins.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use gtm_delivery::{DeliveryPolicy, Ordering};
use gtm_runtime::{ComponentDigest, ComponentKind, Grants, HttpGrant, Limits, PluginSetup, Secret};
use gtm_source::Restart;
use gtm_text::units::{at_least_one, maybe_size, maybe_size_or_zero, maybe_time};
use serde::Deserialize;

use super::Settings;

/// The settings of one plugin. Those that are not set are as for all plugins.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PluginSettings {
    /// The component. By default, the file of this name in the directory of plugins.
    pub path: Option<PathBuf>,
    /// The SHA-256 that the component must have.
    pub sha256: Option<ComponentDigest>,
    /// The files of the filters that run before its own, in this order.
    pub filters: Vec<PathBuf>,
    /// Whether it first receives the existing documents.
    pub snapshot: Option<bool>,
    /// Where it begins instead of at its checkpoint, once.
    pub restart_from: Option<Restart>,
    /// Which of its ops are handled one after another.
    pub ordering: Option<Ordering>,
    /// How many of its ops are handled concurrently.
    #[serde(deserialize_with = "at_least_one")]
    pub lanes: Option<usize>,
    /// How many ops it receives per call, if it takes batches.
    #[serde(deserialize_with = "at_least_one")]
    pub batch_ops: Option<usize>,
    /// How long the host waits for more ops if a batch is not full.
    #[serde(with = "humantime_serde::option")]
    pub batch_wait: Option<Duration>,
    /// What it may use.
    pub limits: LimitSettings,
    /// What it may do.
    pub grants: Grants,
    /// What it reads through `wasi:config/store`.
    pub config: BTreeMap<String, ConfigValue>,
    /// The keys of its config that were set for several plugins together, of which some may not declare them.
    #[serde(skip)]
    pub shared_config: BTreeSet<String>,
}

/// Returns the values of a config.
pub(super) fn secrets(config: &BTreeMap<String, ConfigValue>) -> BTreeMap<String, Secret> {
    config.iter().map(|(key, value)| (key.clone(), value.secret())).collect()
}

/// Returns the values of a config that may be secrets.
pub(super) fn secrets_of(config: &mut BTreeMap<String, ConfigValue>) -> impl Iterator<Item = &mut Secret> {
    config.values_mut().filter_map(|value| match value {
        ConfigValue::Secret(secret) => Some(secret),
        _ => None,
    })
}

/// What a plugin may use. Limits that are not set are as for all plugins, or else the defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// Linear memory of each instance.
    #[serde(deserialize_with = "maybe_size")]
    pub memory: Option<ByteSize>,
    /// How long one call of `filter` may take.
    #[serde(deserialize_with = "maybe_time")]
    pub filter_timeout: Option<Duration>,
    /// How long one call of `handle` may take, including everything that it waits for.
    #[serde(deserialize_with = "maybe_time")]
    pub handle_timeout: Option<Duration>,
    /// How long a plugin waits for one response of the cluster, the store, the mail server or an HTTP server.
    #[serde(deserialize_with = "maybe_time")]
    pub call_timeout: Option<Duration>,
    /// Bytes that the host may hold for an instance at a time.
    #[serde(deserialize_with = "maybe_size")]
    pub host_memory: Option<ByteSize>,
    /// Lines that it may log per second.
    #[serde(deserialize_with = "at_least_one")]
    pub log_lines: Option<u32>,
    /// Bytes that it may log per second, averaged over ten seconds.
    #[serde(deserialize_with = "maybe_size")]
    pub log_bytes: Option<ByteSize>,
    /// HTTP requests that may be in progress at the same time.
    #[serde(deserialize_with = "at_least_one")]
    pub http_requests: Option<usize>,
    /// Bytes of the body of an HTTP request, and of that of a response.
    #[serde(deserialize_with = "maybe_size")]
    pub http_bytes: Option<ByteSize>,
    /// Sockets that an instance may hold.
    #[serde(deserialize_with = "at_least_one")]
    pub tcp_sockets: Option<usize>,
    /// Values that it may keep as its state. 0: no limit.
    pub state_keys: Option<u64>,
    /// Bytes of its state, including the keys. 0: no limit.
    #[serde(deserialize_with = "maybe_size_or_zero")]
    pub state_bytes: Option<ByteSize>,
    /// Calls that an instance serves before a new instance replaces it.
    #[serde(deserialize_with = "at_least_one")]
    pub recycle_calls: Option<u32>,
}

impl Settings {
    /// Returns the variables that plugins may read, or that hold their secrets.
    pub fn variables_of_plugins(&self) -> BTreeSet<&str> {
        let all = || self.plugins.values().chain([&self.every_plugin]);
        let config =
            all().map(|plugin| &plugin.config).chain(self.filters.values().map(|filter| &filter.config));
        let config = config.flat_map(BTreeMap::values).filter_map(|value| match value {
            ConfigValue::Secret(secret) => Some(secret),
            _ => None,
        });
        let requests = all().flat_map(|plugin| &plugin.grants.http).flat_map(HttpGrant::secrets);
        let secrets = config.chain(requests).filter_map(|secret| match secret {
            Secret::Env { env } => Some(env.as_str()),
            _ => None,
        });
        all().flat_map(|plugin| &plugin.grants.env).map(String::as_str).chain(secrets).collect()
    }
}

impl LimitSettings {
    /// Returns these limits, with those that are set here over them.
    pub fn over(&self, limits: Limits) -> Limits {
        let bytes = |size: ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
        Limits {
            memory: self.memory.map_or(limits.memory, bytes),
            filter_timeout: self.filter_timeout.unwrap_or(limits.filter_timeout),
            handle_timeout: self.handle_timeout.unwrap_or(limits.handle_timeout),
            call_timeout: self.call_timeout.unwrap_or(limits.call_timeout),
            host_memory: self.host_memory.map_or(limits.host_memory, bytes),
            log_lines: self.log_lines.unwrap_or(limits.log_lines),
            log_bytes: self.log_bytes.map_or(limits.log_bytes, |size| size.as_u64()),
            http_requests: self.http_requests.unwrap_or(limits.http_requests),
            http_bytes: self.http_bytes.map_or(limits.http_bytes, bytes),
            tcp_sockets: self.tcp_sockets.unwrap_or(limits.tcp_sockets),
            state_keys: self.state_keys.unwrap_or(limits.state_keys),
            state_bytes: self.state_bytes.map_or(limits.state_bytes, |size| size.as_u64()),
            recycle_calls: self.recycle_calls.unwrap_or(limits.recycle_calls),
        }
    }
}

impl PluginSettings {
    /// Returns the setup of the plugin with this name. `limits` are those of all plugins.
    pub fn setup(&self, name: &str, limits: Limits) -> PluginSetup {
        PluginSetup {
            name: name.to_owned(),
            kind: ComponentKind::Plugin,
            limits: self.limits.over(limits),
            grants: self.grants.clone(),
            config: secrets(&self.config),
            shared_config: self.shared_config.clone(),
            sha256: self.sha256.clone(),
        }
    }

    /// Sets a value of its config. `is_shared`: the value is for several plugins, of which some may not declare the setting.
    pub fn set(&mut self, key: String, value: ConfigValue, is_shared: bool) {
        match is_shared {
            true => drop(self.shared_config.insert(key.clone())),
            false => drop(self.shared_config.remove(&key)),
        }
        self.config.insert(key, value);
    }

    /// Returns how its ops are delivered. `policy` is that of all plugins.
    pub fn policy(&self, mut policy: DeliveryPolicy) -> DeliveryPolicy {
        let delivery = &mut policy.delivery;
        delivery.ordering = self.ordering.unwrap_or(delivery.ordering);
        delivery.lanes = self.lanes.unwrap_or(delivery.lanes);
        delivery.batch_ops = self.batch_ops.unwrap_or(delivery.batch_ops);
        delivery.batch_wait = self.batch_wait.unwrap_or(delivery.batch_wait);
        policy
    }

    /// Resolves paths against this directory.
    pub(super) fn resolve(&mut self, directory: &Path) {
        let dirs = self.grants.dirs.iter_mut().map(|dir| &mut dir.host);
        for path in self.path.iter_mut().chain(&mut self.filters).chain(dirs) {
            *path = directory.join(&*path);
        }
        let requests = self.grants.http.iter_mut().flat_map(HttpGrant::secrets_mut);
        requests.chain(secrets_of(&mut self.config)).for_each(|secret| secret.resolve(directory));
    }
}

/// A value of a plugin's config. Plugins read it as text.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a text, a number, true, false, a list of texts without commas, { env = \"NAME\" } or { file = \"PATH\" }"
)]
#[allow(missing_docs, reason = "the names explain themselves")]
pub enum ConfigValue {
    Integer(i64),
    Float(f64),
    Flag(bool),
    /// Several texts. The plugin reads them separated by commas.
    Texts(ConfigTexts),
    /// A text, or where one is.
    Secret(Secret),
}

/// Texts without commas.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct ConfigTexts(Vec<String>);

impl TryFrom<Vec<String>> for ConfigTexts {
    type Error = &'static str;

    fn try_from(texts: Vec<String>) -> Result<Self, &'static str> {
        match texts.iter().any(|text| text.contains(',')) {
            true => Err("a comma separates texts, and one of them contains it"),
            false => Ok(Self(texts)),
        }
    }
}

impl ConfigValue {
    fn secret(&self) -> Secret {
        match self {
            Self::Secret(secret) => secret.clone(),
            other => Secret::Value(other.to_string()),
        }
    }
}

impl From<String> for ConfigValue {
    fn from(text: String) -> Self {
        Self::Secret(Secret::Value(text))
    }
}

impl fmt::Display for ConfigValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(integer) => integer.fmt(f),
            Self::Float(float) => float.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
            Self::Texts(ConfigTexts(texts)) => f.write_str(&texts.join(",")),
            Self::Secret(Secret::Value(text)) => f.write_str(text),
            Self::Secret(Secret::Env { env }) => write!(f, "the variable {env}"),
            Self::Secret(Secret::File { file }) => write!(f, "the file {}", file.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_plugin_override_those_of_all_plugins() {
        let text = "lanes = 2\nlimits.memory = \"1 MiB\"\nlimits.http_requests = 1\nconfig = { n = 3, t = \"x\", s = { env = \"A\" }, l = [\"a\", \"b\"] }\n";
        let settings: PluginSettings = toml::from_str(text).unwrap();
        let all = LimitSettings { log_lines: Some(5), ..LimitSettings::default() }.over(Limits::default());
        let setup = settings.setup("x", all);
        assert_eq!(
            setup.limits,
            Limits { memory: 1 << 20, log_lines: 5, http_requests: 1, ..Limits::default() }
        );
        assert_eq!(setup.config["n"], Secret::Value("3".into()));
        assert_eq!(setup.config["t"], Secret::Value("x".into()));
        assert_eq!(setup.config["s"], Secret::Env { env: "A".into() });
        assert_eq!(setup.config["l"], Secret::Value("a,b".into()));
        let refused = toml::from_str::<PluginSettings>("config.l = [\"a,b\"]").unwrap_err();
        assert!(refused.to_string().contains("a list of texts without commas"), "{refused}");
        let policy = settings.policy(DeliveryPolicy::default());
        assert_eq!((policy.delivery.lanes, policy.delivery.batch_ops), (2, 500));
    }
}
