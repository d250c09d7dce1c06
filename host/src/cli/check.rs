//! `gtm-host check`: describes a plugin without running it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use bytesize::ByteSize;
use gtm_host::config::{Settings, file_name};
use gtm_host::remedy::WithRemedy;
use gtm_oplog::OperationType;
use gtm_runtime::{Engine, Plugin};
use gtm_text::sanitize::{indented, line};
use serde_json::{Value, json};

use super::arguments::{CheckArguments, Format};
use super::compile_component::compilation;
use super::directories;
use super::output::{print_json, print_text};

pub(super) fn run(arguments: &CheckArguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::compiling(&directories::cache(settings)?, compilation())?;
    let mut all_are = true;
    let named = arguments.of.paths.iter().map(|path| (path, settings.names_of(path)));
    for (path, name) in named.flat_map(|(path, names)| names.into_iter().map(move |name| (path, name))) {
        let checked = check(&engine, path, &name, settings);
        all_are &= checked.is_ok();
        let path = path.to_string_lossy();
        match (arguments.of.output, checked) {
            (Format::Text, Ok(checked)) => print_text(&checked.text(&path))?,
            (Format::Text, Err(error)) => print_text(&not_a_plugin(&path, &error))?,
            (Format::Json, Ok(checked)) => print_json(&checked.json(&path))?,
            (Format::Json, Err(error)) => print_json(
                &json!({ "path": path, "name": name, "plugin": false, "error": WithRemedy(error.as_ref()).to_string() }),
            )?,
        };
    }
    Ok(if all_are { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn not_a_plugin(path: &str, error: &anyhow::Error) -> String {
    format!("{}: not a plugin\n  {}", line(path), indented(&WithRemedy(error.as_ref()).to_string(), 4))
}

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
    let plugin = Plugin::load(engine, path, &own.setup(name, settings.limits()))?;
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
            let operations =
                operations.iter().map(|operation| OperationType::from(*operation).name()).collect();
            (namespace.as_str(), operations)
        })
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
        if subscriptions.is_empty() {
            subscriptions.push("everything".to_owned());
        }
        let subscriptions = subscriptions.join("\n                 ");
        let asks = self.asks.iter().map(|(capability, granted)| match granted {
            // The words of some grants begin like this themselves.
            Some(granted) if granted.starts_with("granted") => format!("{capability}: {}", line(granted)),
            Some(granted) => format!("{capability}: granted {}", line(granted)),
            None => format!("{capability}: not granted"),
        });
        let asks = asks.collect::<Vec<_>>().join("\n                 ");
        let asks = if asks.is_empty() { "nothing".to_owned() } else { asks };
        let (path, name) = (line(path), self.plugin.name());
        // Shows the name if the path does not show it.
        let path = match name == file_name(Path::new(&*path)) {
            true => path,
            false => format!("{path}, set up as {}", line(name)).into(),
        };
        let wasi = self.wasi.iter().map(|package| line(package)).collect::<Vec<_>>().join(", ");
        format!(
            "{path}: a plugin\n  version        {version}, {size}\n  sha256         {digest}\n  contract       {contract}\n  \
             subscribes to  {subscriptions}\n  asks for       {asks}\n  links          {wasi}"
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
            "plugin": true,
            "version": self.plugin.version(),
            "sha256": self.plugin.digest().as_str(),
            "bytes": self.size,
            "contract": self.plugin.contract().map(|version| version.to_string()),
            "subscriptions": subscriptions,
            "handlesBatches": self.plugin.handles_batches(),
            "asks": self.asks.keys().collect::<Vec<_>>(),
            "granted": self.asks,
            "imports": self.plugin.imports(),
        })
    }
}
