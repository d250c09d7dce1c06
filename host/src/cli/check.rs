//! `gtm-host check`: describes a plugin, and checks its settings.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use bytesize::ByteSize;
use gtm_host::config::{Settings, file_name};
use gtm_host::remedy::WithRemedy;
use gtm_runtime::{ComponentKind, DeclaredSetting, Engine, LoadError, Plugin, SettingType, Timer, seconds};
use gtm_text::sanitize::{indented, line, quoted};
use humantime::format_rfc3339_seconds;
use serde_json::{Value, json};

use super::arguments::{CheckArguments, Format};
use super::compile_component::compilation;
use super::directories;
use super::load::{load_either, setup_as_filter};
use super::output::{print_json, print_text};
use super::shared_settings::unused_value;

pub(super) fn run(arguments: &CheckArguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::compiling(&directories::cache(settings)?, compilation())?;
    let named = arguments.plugins.iter().map(|plugin| (&plugin.path, plugin.names(settings)));
    let (mut loaded, mut failed) = (Vec::new(), Vec::new());
    for (path, name) in named.flat_map(|(path, names)| names.into_iter().map(move |name| (path, name))) {
        let checked = check(&engine, path, &name, settings);
        let path = path.to_string_lossy();
        match (arguments.output, &checked) {
            (Format::Text, Ok(checked)) => print_text(&checked.text(&path))?,
            (Format::Text, Err(error)) => print_text(&not_started(&path, error))?,
            (Format::Json, Ok(checked)) => print_json(&checked.json(&path))?,
            (Format::Json, Err(error)) => {
                let unstarted = unstarted(error);
                let is = |kind| unstarted.is_some_and(|(_, unstarted)| unstarted == kind);
                let declared = unstarted.and_then(|(error, _)| error.declared());
                let settings = declared.map(|settings| settings.iter().map(setting).collect::<Vec<_>>());
                print_json(&json!({
                    "path": path,
                    "name": name,
                    "plugin": is(ComponentKind::Plugin),
                    "filter": is(ComponentKind::Filter),
                    "error": WithRemedy(error.as_ref()).to_string(),
                    "settings": settings,
                }))?
            }
        };
        match checked {
            Ok(checked) => loaded.push(checked.plugin),
            Err(error) => failed.push((name, error)),
        }
    }
    let unloaded = failed.iter().map(|(name, error)| (name.as_str(), error));
    match unused_value(settings, &loaded, unloaded) {
        Some(unused) => Err(unused.error),
        None if failed.is_empty() => Ok(ExitCode::SUCCESS),
        None => Ok(ExitCode::FAILURE),
    }
}

fn not_started(path: &str, error: &anyhow::Error) -> String {
    let reason = indented(&WithRemedy(error.as_ref()).to_string(), 4);
    let path = line(path);
    let Some((error, kind)) = unstarted(error) else { return format!("{path}: not a plugin\n  {reason}") };
    let declared =
        error.declared().map(|settings| format!("\n  settings       {}", describe_settings(settings)));
    format!(
        "{path}: a {kind} that does not start with these settings\n  {reason}{}",
        declared.unwrap_or_default()
    )
}

/// Returns the error if it is that of a component which does not start with the settings that it has, and the kind of the component.
fn unstarted(error: &anyhow::Error) -> Option<(&LoadError, ComponentKind)> {
    let error = error.downcast_ref::<LoadError>()?;
    Some((error, error.unstarted()?))
}

/// Begins a line of a list in the text.
const LINE_START: &str = "\n                 ";

/// The facts about a plugin that the command prints.
struct CheckedPlugin {
    size: u64,
    plugin: Plugin,
    /// The capabilities that it asks for and that need a grant, each with its grant.
    asks: BTreeMap<String, Option<String>>,
    /// The linked packages of WASI. Without a grant, they reach nothing outside of the sandbox.
    wasi: BTreeSet<String>,
}

/// Loads a plugin as a host does: its subscriptions may depend on its config.
fn check(engine: &Engine, path: &Path, name: &str, settings: &Settings) -> anyhow::Result<CheckedPlugin> {
    let own = settings.plugins.get(name).cloned().unwrap_or_default();
    let as_plugin = own.setup(name, settings.limits());
    let plugin = load_either(engine, path, &as_plugin, &setup_as_filter(settings, path, &as_plugin))?;
    let granted = own.grants;
    let size = std::fs::metadata(path).with_context(|| format!("{} cannot be read", path.display()))?.len();
    let (mut asks, mut wasi) = (BTreeMap::new(), BTreeSet::new());
    for capability in plugin.asks() {
        asks.insert(capability.to_owned(), granted.of(capability));
    }
    for import in plugin.imports() {
        match import.split_once('/') {
            Some(("gtm:plugin" | "wasi:http", _)) | None => {}
            Some((package, _)) => drop(wasi.insert(package.to_owned())),
        }
    }
    for (capability, what) in granted.unasked() {
        asks.insert(capability.to_owned(), Some(what));
    }
    Ok(CheckedPlugin { size, plugin, asks, wasi })
}

impl CheckedPlugin {
    fn subscriptions(&self) -> impl Iterator<Item = (&str, Vec<&'static str>)> {
        self.plugin.subscriptions().iter().map(|(namespace, operations)| {
            let operations = operations.iter().map(|operation| operation.name()).collect();
            (namespace.as_str(), operations)
        })
    }

    /// Returns the timers, each with the next time at which it is due.
    fn timers(&self) -> impl Iterator<Item = (&Timer, String)> {
        let now = seconds(SystemTime::now());
        self.plugin.timers().iter().map(move |timer| {
            let next = timer.schedule.after(now).map(u64::from).unwrap_or_default();
            (timer, format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(next)).to_string())
        })
    }

    /// Describes the settings that the plugin declares, one per line.
    fn settings(&self) -> String {
        self.plugin.settings().map_or("any".to_owned(), describe_settings)
    }

    fn text(&self, path: &str) -> String {
        let (size, version) = (ByteSize::b(self.size).display().iec(), line(self.plugin.version()));
        let digest = self.plugin.digest();
        let contract = self.plugin.contract().map_or("none".to_owned(), |version| version.to_string());
        let mut subscriptions: Vec<_> = self
            .subscriptions()
            .map(|(namespace, operations)| match operations.as_slice() {
                [] => format!("{} (everything)", line(namespace)),
                _ => format!("{} ({})", line(namespace), operations.join(", ")),
            })
            .collect();
        let is_filter = self.plugin.kind() == ComponentKind::Filter;
        if subscriptions.is_empty() {
            let gets_ops = is_filter || self.plugin.handles_ops();
            subscriptions.push(if gets_ops { "everything" } else { "nothing" }.to_owned());
        }
        let subscriptions = subscriptions.join(LINE_START);
        let timers = self.timers().map(|(timer, next)| {
            let Timer { name, schedule, missed } = timer;
            let facts = format!("{name}: {schedule}, next {next}; missed ticks: {}", missed.name());
            line(&facts).into_owned()
        });
        let timers = timers.collect::<Vec<_>>().join(LINE_START);
        let timers = if timers.is_empty() { timers } else { format!("\n  timers         {timers}") };
        let asks = self.asks.iter().map(|(capability, granted)| match granted {
            _ if is_filter => format!("{capability}: never available in a filter"),
            // The words of some grants begin like this themselves.
            Some(granted) if granted.starts_with("granted") => format!("{capability}: {}", line(granted)),
            Some(granted) => format!("{capability}: granted {}", line(granted)),
            None => format!("{capability}: not granted"),
        });
        let asks = asks.collect::<Vec<_>>().join(LINE_START);
        let asks = if asks.is_empty() { "nothing".to_owned() } else { asks };
        let (path, name) = (line(path), self.plugin.name());
        // Shows the name if the path does not show it.
        let path = match name == file_name(Path::new(&*path)) {
            true => path,
            false => format!("{path}, set up as {}", line(name)).into(),
        };
        let wasi = self.wasi.iter().map(|package| line(package)).collect::<Vec<_>>().join(", ");
        let what = if is_filter { "a filter for plugins" } else { "a plugin" };
        format!(
            "{path}: {what}\n  version        {version}, {size}\n  sha256         {digest}\n  contract       {contract}\n  \
             settings       {}\n  subscribes to  {subscriptions}{timers}\n  asks for       {asks}\n  links          {wasi}",
            self.settings()
        )
    }

    fn json(&self, path: &str) -> Value {
        let subscriptions: Vec<_> = self
            .subscriptions()
            .map(|(namespace, operations)| json!({ "namespace": namespace, "operationTypes": operations }))
            .collect();
        json!({
            "path": path,
            "name": self.plugin.name(),
            "plugin": self.plugin.kind() == ComponentKind::Plugin,
            "filter": self.plugin.kind() == ComponentKind::Filter,
            "version": self.plugin.version(),
            "sha256": self.plugin.digest().as_str(),
            "bytes": self.size,
            "contract": self.plugin.contract().map(|version| version.to_string()),
            "settings": self.plugin.settings().map(|settings| settings.iter().map(setting).collect::<Vec<_>>()),
            "subscriptions": subscriptions,
            "handlesOps": self.plugin.handles_ops(),
            "timers": self.timers().map(|(timer, next)| {
                let Timer { name, schedule, missed } = timer;
                json!({ "name": name, "schedule": schedule.text(), "missed": missed.name(), "next": next })
            }).collect::<Vec<_>>(),
            "handlesBatches": self.plugin.handles_batches(),
            "asks": self.asks.keys().collect::<Vec<_>>(),
            "granted": self.asks,
            "imports": self.plugin.imports(),
        })
    }
}

/// Describes a setting that the plugin declares.
fn setting(setting: &DeclaredSetting) -> Value {
    let DeclaredSetting { name, setting_type, default, doc, is_required, is_secret, former_names } = setting;
    let choices = match setting_type {
        SettingType::Choice(choices) => Some(choices),
        _ => None,
    };
    json!({
        "name": name,
        "type": setting_type.name(),
        "choices": choices,
        "default": default,
        "doc": doc,
        "required": is_required,
        "secret": is_secret,
        "formerNames": former_names,
    })
}

/// Describes the settings that a plugin declares, one per line.
fn describe_settings(settings: &[DeclaredSetting]) -> String {
    let described = settings.iter().map(|setting| {
        let mut facts = vec![setting.setting_type.to_string()];
        match &setting.default {
            Some(default) => facts.push(format!("default {}", quoted(default))),
            None if setting.is_required => facts.push("required".to_owned()),
            None => {}
        }
        if setting.is_secret {
            facts.push("secret".to_owned());
        }
        if !setting.former_names.is_empty() {
            facts.push(format!("formerly {}", setting.former_names.join(", ")));
        }
        let doc = setting.doc.split_whitespace().collect::<Vec<_>>().join(" ");
        line(&format!("{} ({}): {doc}", setting.name, facts.join("; "))).into_owned()
    });
    let described = described.collect::<Vec<_>>().join(LINE_START);
    if described.is_empty() { "none".to_owned() } else { described }
}
