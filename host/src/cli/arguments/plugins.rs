//! The options about plugins.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, bail};
use clap::Args;
use gtm_host::config::{GivenValue, HIDDEN, Origin, PluginSettings, SecretText, Settings, file_name};
use gtm_runtime::{ComponentDigest, Grant};

use super::setting::{PluginGroup, SettingArguments};
use super::typed::TypedOptions;

/// Which plugins run, and what each may use.
#[derive(Debug, Args)]
#[command(next_help_heading = "Plugins")]
pub(in crate::cli) struct PluginArguments {
    // Before the options, whose values are taken out of what was parsed.
    #[command(flatten)]
    typed: TypedOptions,
    /// A plugin to run, and its name (by default the file's). With FILE@sha256:DIGEST, the digest that gtm-host check prints, the host
    /// refuses any other version. May be repeated: plugins run side by side. In the variable, one plugin per line
    #[arg(short, long = "plugin", env = "GTM_PLUGIN", value_name = "[NAME=]FILE")]
    plugins: Vec<NamedPlugin>,

    /// A filter that runs before the filter of a plugin, or, without a NAME, of every plugin. May be repeated: the filters run in this order,
    /// after those of the settings file. In the variable, one filter per line
    #[arg(long = "filter", env = "GTM_FILTER", value_name = "[NAME:]FILE")]
    filters: Vec<PluginFilter>,

    /// A value of the config of the plugin or filter NAME, or, without a NAME, of every plugin that declares the setting. Several texts are
    /// separated by commas. May be repeated: the last value of a key counts. In the variable, one value per line
    #[arg(
        short = 's',
        long = "set",
        env = "GTM_SET",
        hide_env_values = true,
        value_name = "[NAME:]KEY=VALUE"
    )]
    values: Vec<PluginValue>,

    /// Something that a plugin may do besides computing, such as mail. Grants are mail, mail-from=ADDRESS, mail-to=ADDRESS, mail-per-minute=COUNT, state, http=SERVER,
    /// http-private=SERVER, tcp=HOST:PORT, tcp-private=HOST:PORT, tls=HOST:PORT, tls-private=HOST:PORT, mongodb-read=DB.COLL, mongodb-write=DB.COLL, env=NAME, dir=HOST:GUEST or dir-write=HOST:GUEST.
    /// 'http=GET,POST SERVER/PATH' grants only these methods and this path, in which * stands for any characters.
    /// Without a NAME, the grant is for every plugin. May be repeated; in the variable, one grant per line
    #[arg(short, long = "grant", env = "GTM_GRANT", value_name = "[NAME:]GRANT")]
    grants: Vec<PluginGrant>,

    #[command(flatten)]
    settings: SettingArguments<PluginGroup>,
}

impl PluginArguments {
    /// Returns whether neither a plugin nor a directory of plugins is named.
    pub(super) fn is_empty(&self) -> bool {
        self.plugins.is_empty() && !self.settings.has("plugin_dir")
    }

    /// Removes all plugins.
    pub(super) fn clear(&mut self) {
        self.plugins.clear();
    }

    /// Adds a plugin as it was typed.
    pub(super) fn add(&mut self, plugin: &str) -> Result<(), String> {
        self.plugins.push(plugin.parse()?);
        Ok(())
    }

    /// Names the only plugin, if its file was passed without a name.
    pub(super) fn name_the_only(&mut self, name: &str) {
        if let [plugin] = self.plugins.as_mut_slice()
            && plugin.name == file_name(&plugin.path)
        {
            name.clone_into(&mut plugin.name);
        }
    }

    /// Returns the grants as they are written, with the plugin that has each, or none for all.
    pub(super) fn written_grants(&self) -> impl Iterator<Item = (Option<&str>, &str)> {
        self.grants.iter().map(|grant| (grant.plugin.as_deref(), grant.written.as_str()))
    }

    /// Returns where the plugins, the values or the grants come from: the id is that of the option.
    pub(super) fn origin(&self, id: &str) -> Origin {
        self.typed.origin(id)
    }

    /// Adds the settings that are not those of one plugin.
    pub(super) fn add_to(&self, given: &mut Vec<GivenValue>) {
        self.settings.add_to(given);
    }

    /// Adds the plugins, with the values and grants of each, to the settings.
    pub(super) fn apply_to(&self, settings: &mut Settings) -> anyhow::Result<()> {
        self.set_plugins(settings)
    }
}

/// A file of a plugin, and the name of the plugin whose settings it gets, if the user specified one.
#[derive(Clone, Debug)]
pub(in crate::cli) struct PluginFile {
    pub(in crate::cli) name: Option<String>,
    pub(in crate::cli) path: PathBuf,
}

impl FromStr for PluginFile {
    type Err = String;

    fn from_str(argument: &str) -> Result<Self, String> {
        let (name, path) = match argument.split_once('=') {
            Some((name, path)) if !is_path(argument, name, path) => (Some(name.to_owned()), path),
            _ => (None, argument),
        };
        if name.as_ref().is_some_and(String::is_empty) || path.is_empty() {
            return Err("expected FILE or NAME=FILE".to_owned());
        }
        Ok(Self { name, path: path.into() })
    }
}

impl PluginFile {
    /// Returns the names of the plugins whose settings the file gets: the one that the user specified, or else those that the settings have
    /// for this path.
    pub(in crate::cli) fn names(&self, settings: &Settings) -> Vec<String> {
        self.name.clone().map_or_else(|| settings.names_of(&self.path), |name| vec![name])
    }

    /// Checks that the settings know a plugin with the specified name.
    ///
    /// # Errors
    /// They know only other plugins.
    pub(super) fn check_name(&self, settings: &Settings) -> anyhow::Result<()> {
        let Some(name) = &self.name else { return Ok(()) };
        let Settings { plugins, plugin_dir, .. } = settings;
        if plugins.is_empty() || plugins.contains_key(name) || plugin_dir.is_some() {
            return Ok(());
        }
        let known = plugins.keys().cloned().collect::<Vec<_>>().join(", ");
        bail!("{name}={}: the settings have no plugin {name}; they have: {known}", self.path.display())
    }
}

#[derive(Clone, Debug)]
struct NamedPlugin {
    name: String,
    path: PathBuf,
    sha256: Option<ComponentDigest>,
}

impl FromStr for NamedPlugin {
    type Err = String;

    fn from_str(argument: &str) -> Result<Self, String> {
        let (argument, sha256) = ComponentDigest::split(argument).map_err(|error| {
            format!(
                "after @sha256: {error}. A path that ends like this can be set as path in a settings file"
            )
        })?;
        let PluginFile { name, path } = argument.parse()?;
        let name = name.unwrap_or_else(|| file_name(&path));
        if name.is_empty() {
            return Err("expected FILE or NAME=FILE".to_owned());
        }
        Ok(Self { name, path, sha256 })
    }
}

/// Returns whether the text before a `=` or `:` belongs to a path: a name has no slash, and a file that exists is a path.
fn is_path(whole: &str, name: &str, path: &str) -> bool {
    name.contains('/') || (Path::new(whole).is_file() && !Path::new(path).exists())
}

#[derive(Clone, Debug)]
pub(super) struct PluginFilter {
    plugin: Option<String>,
    path: PathBuf,
}

impl FromStr for PluginFilter {
    type Err = String;

    fn from_str(argument: &str) -> Result<Self, String> {
        let (plugin, path) = match argument.split_once(':') {
            Some((name, path)) if !is_path(argument, name, path) => (Some(name.to_owned()), path),
            _ => (None, argument),
        };
        if plugin.as_ref().is_some_and(String::is_empty) || path.is_empty() {
            return Err("expected FILE or NAME:FILE".to_owned());
        }
        Ok(Self { plugin, path: path.into() })
    }
}

#[derive(Clone, Debug)]
pub(super) struct PluginValue {
    plugin: Option<String>,
    pub(super) key: String,
    pub(super) value: SecretText,
}

impl FromStr for PluginValue {
    type Err = String;

    fn from_str(argument: &str) -> Result<Self, String> {
        let (key, value) = argument.split_once('=').ok_or("expected KEY=VALUE or NAME:KEY=VALUE")?;
        let (plugin, key) = named(key);
        if key.is_empty() {
            return Err("the key is empty".to_owned());
        }
        if value == HIDDEN {
            return Err(format!(
                "{HIDDEN} stands for a value that is not shown. help: write the value itself"
            ));
        }
        Ok(Self { plugin, key: key.to_owned(), value: value.to_owned().into() })
    }
}

/// Splits `NAME:KEY`, or `KEY` alone. The text ends before the first `=`, because a value may contain a colon.
fn named(what: &str) -> (Option<String>, &str) {
    match what.split_once(':') {
        Some((plugin, what)) => (Some(plugin.to_owned()), what),
        None => (None, what),
    }
}

#[derive(Clone, Debug)]
pub(super) struct PluginGrant {
    plugin: Option<String>,
    pub(super) grant: Grant,
    written: String,
}

impl FromStr for PluginGrant {
    type Err = String;

    fn from_str(argument: &str) -> Result<Self, String> {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (argument, None),
        };
        let (plugin, name) = named(name);
        let written = value.map_or_else(|| name.to_owned(), |value| format!("{name}={value}"));
        Ok(Self { plugin, grant: Grant::parse(name, value)?, written })
    }
}

impl PluginValue {
    /// Changes the settings of plugins and filters that are known.
    ///
    /// # Errors
    /// The host does not know the plugin or filter. `option` set the value: `--set` or its variable.
    pub(super) fn apply_to(&self, settings: &mut Settings, option: &str) -> anyhow::Result<()> {
        let Self { plugin, key, value } = self;
        if plugin.is_none()
            && let Some((name, rest)) = key.split_once('.')
            && (settings.plugins.contains_key(name) || settings.has_filter(name))
        {
            bail!(
                "{option} {key}: a colon follows the name of a plugin, not a dot. help: write {name}:{rest}=VALUE"
            );
        }
        let value = || value.expose().to_owned().into();
        let is_filter = |name: &&String| settings.has_filter(name) && !settings.plugins.contains_key(*name);
        if let Some(name) = plugin.as_ref().filter(is_filter) {
            settings.filters.entry(name.clone()).or_default().config.insert(key.clone(), value());
            return Ok(());
        }
        let what = || format!("{option} {}:{key}", plugin.as_deref().unwrap_or_default());
        // One plugin alone must declare it.
        let is_shared = plugin.is_none() && (settings.plugins.len() > 1 || settings.plugin_dir.is_some());
        change(settings, plugin.as_deref(), what, |plugin| plugin.set(key.clone(), value(), is_shared))
    }

    /// Does the same, if a value without a name is that of the plugin `name`.
    pub(super) fn apply_to_one(&self, name: &str, settings: &mut Settings) -> anyhow::Result<()> {
        let plugin = Some(self.plugin.clone().unwrap_or_else(|| name.to_owned()));
        Self { plugin, ..self.clone() }.apply_to(settings, "--set")
    }
}

impl PluginFilter {
    /// Adds the filter to those of plugins that are known.
    ///
    /// # Errors
    /// The host does not know the plugin. `option` added the filter: `--filter` or its variable.
    pub(super) fn apply_to(&self, settings: &mut Settings, option: &str) -> anyhow::Result<()> {
        let Self { plugin, path } = self;
        let what = || format!("{option} {}:…", plugin.as_deref().unwrap_or_default());
        change(settings, plugin.as_deref(), what, |plugin| plugin.filters.push(path.clone()))
    }

    /// Does the same, if a filter without a name is that of the plugin `name`.
    pub(super) fn apply_to_one(&self, name: &str, settings: &mut Settings) -> anyhow::Result<()> {
        let plugin = Some(self.plugin.clone().unwrap_or_else(|| name.to_owned()));
        Self { plugin, ..self.clone() }.apply_to(settings, "--filter")
    }
}

impl PluginGrant {
    /// Changes the settings of plugins that are known.
    ///
    /// # Errors
    /// The host does not know the plugin. `option` granted it: `--grant` or its variable.
    pub(super) fn apply_to(&self, settings: &mut Settings, option: &str) -> anyhow::Result<()> {
        let Self { plugin, grant, .. } = self;
        let what = || format!("{option} {}:…", plugin.as_deref().unwrap_or_default());
        change(settings, plugin.as_deref(), what, |plugin| plugin.grants.add(grant.clone()))
    }
}

impl PluginArguments {
    fn set_plugins(&self, settings: &mut Settings) -> anyhow::Result<()> {
        let plugins = &mut settings.plugins;
        let mut names = Vec::new();
        for NamedPlugin { name, path, sha256 } in &self.plugins {
            if names.contains(&name) {
                bail!(
                    "two plugins are called {name}. help: name one of them differently, as in --plugin NAME=FILE"
                );
            }
            let plugin = plugins.entry(name.clone()).or_default();
            plugin.path = Some(path.clone());
            if let Some(sha256) = sha256 {
                plugin.sha256 = Some(sha256.clone());
            }
            names.push(name);
        }
        if plugins.is_empty() && settings.plugin_dir.is_none() {
            bail!(
                "there is no plugin to run. help: pass --plugin FILE, --plugin-dir DIR, or --config FILE with the plugins in the \
                 settings file"
            );
        }
        let [filter, set, grant] = ["filters", "values", "grants"].map(|id| self.typed.name(id));
        // Values may be those of a filter.
        self.filters.iter().try_for_each(|added| added.apply_to(settings, &filter))?;
        self.values.iter().try_for_each(|value| value.apply_to(settings, &set))?;
        self.grants.iter().try_for_each(|granted| granted.apply_to(settings, &grant))
    }
}

/// Changes the settings of a plugin, or of all.
pub(super) fn change(
    settings: &mut Settings,
    name: Option<&str>,
    what: impl FnOnce() -> String,
    change: impl Fn(&mut PluginSettings),
) -> anyhow::Result<()> {
    let Settings { plugins, every_plugin, plugin_dir, .. } = settings;
    let Some(name) = name else {
        plugins.values_mut().chain([every_plugin]).for_each(change);
        return Ok(());
    };
    // Its file may be added to the directory later.
    if plugin_dir.is_some() && !plugins.contains_key(name) {
        plugins.insert(name.to_owned(), every_plugin.clone());
    }
    let known = plugins.keys().cloned().collect::<Vec<_>>().join(", ");
    let plugin = plugins
        .get_mut(name)
        .with_context(|| format!("{}: there is no plugin {name}; there are: {known}", what()))?;
    change(plugin);
    Ok(())
}
