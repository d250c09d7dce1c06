//! `gtm-host componentize`: converts a core WebAssembly module into a plugin component.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use gtm_runtime::unsupported;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap};

use super::arguments::ComponentizeArguments;
use super::output::print_text;

/// Lists files of the contract, each with its text.
macro_rules! contract_files {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../wit/", $folder, "/", $name)))),+]
    };
}

/// A package that contract 0.1 uses.
const WASI_CONFIG: &[(&str, &str)] = contract_files!("0.1/deps/wasi-config": "package.wit");
/// The files of the contracts that the host supports.
const CONTRACT_0_1: &[(&str, &str)] = contract_files!(
    "0.1": "extended-json.wit", "http.wit", "log.wit", "mail.wit", "metrics.wit", "mongodb.wit", "state.wit",
    "subscriptions.wit", "types.wit", "world.wit",
);
const CONTRACT_0_2: &[(&str, &str)] = contract_files!(
    "0.2": "config.wit", "extended-json.wit", "handlers.wit", "http.wit", "lifecycle.wit", "log.wit", "mail.wit",
    "metrics.wit", "mongodb.wit", "schedule.wit", "state.wit", "types.wit", "world.wit",
);

/// The interfaces that a plugin of contract 0.2 may export.
const EXPORTED_INTERFACES: [&str; 6] =
    ["lifecycle", "filter", "batch-filter", "handler", "batch-handler", "schedule"];

pub(super) fn run(arguments: &ComponentizeArguments) -> anyhow::Result<ExitCode> {
    let ComponentizeArguments { path, output, .. } = arguments;
    let core = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let component = componentize(core, path)?;
    std::fs::write(output, component).with_context(|| format!("{} cannot be written", output.display()))?;
    print_text(&format!("{}: see gtm-host check {0}", output.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn componentize(mut core: Vec<u8>, path: &Path) -> anyhow::Result<Vec<u8>> {
    let module = Module::read(&core, path)?;
    if let Some(what) = unsupported(&core) {
        bail!("{} {what}", path.display());
    }
    // A module with bindings of wit-bindgen has the contract in it.
    if !module.describes_itself {
        let (resolve, world) = contract(&module.exports)?;
        embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8)?;
    }
    let component = encode(&core);
    component.map_err(|error| {
        anyhow::anyhow!(
            "{} does not fit the contract: {error:#}. help: name its exports as wit/0.2 does (gtm:plugin/handler@0.2.0#handle and \
             cabi_realloc), and its imports too (gtm:plugin/log@0.2.0)",
            path.display()
        )
    })
}

fn encode(core: &[u8]) -> anyhow::Result<Vec<u8>> {
    let encoder = ComponentEncoder::default().validate(true).module(core)?;
    let mut encoder =
        encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?;
    encoder.encode()
}

/// The facts about a core module that the conversion needs.
struct Module {
    exports: Vec<String>,
    describes_itself: bool,
}

impl Module {
    fn read(bytes: &[u8], path: &Path) -> anyhow::Result<Self> {
        match bytes {
            [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => {}
            [0, b'a', b's', b'm', ..] => bail!("{} is already a component", path.display()),
            _ => bail!("{} is not WebAssembly", path.display()),
        }
        let mut module = Self { exports: Vec::new(), describes_itself: false };
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.with_context(|| format!("{} is damaged", path.display()))? {
                Payload::ExportSection(exports) => {
                    for export in exports {
                        module.exports.push(export?.name.to_owned());
                    }
                }
                Payload::CustomSection(section) => {
                    module.describes_itself |= section.name().starts_with("component-type");
                }
                _ => {}
            }
        }
        Ok(module)
    }
}

/// Returns the contract that this module's exports belong to, with a world that has all capabilities and these exports.
fn contract(exports: &[String]) -> anyhow::Result<(Resolve, wit_parser::WorldId)> {
    // The name of a function in an exported interface: `gtm:plugin/handler@0.2.0#handle`.
    let exported: Vec<_> = EXPORTED_INTERFACES
        .into_iter()
        .filter(|interface| {
            let prefix = format!("gtm:plugin/{interface}@0.2.0#");
            exports.iter().any(|export| export.starts_with(&prefix))
        })
        .collect();
    let world = if exported.is_empty() { world_0_1(exports)? } else { world_0_2(&exported)? };
    let mut resolve = Resolve::default();
    for files in [WASI_CONFIG, CONTRACT_0_1, CONTRACT_0_2] {
        push(&mut resolve, files)?;
    }
    let package = push(&mut resolve, &[("module.wit", &world)])?;
    let world = resolve.select_world(&[package], None)?;
    Ok((resolve, world))
}

fn world_0_2(exported: &[&str]) -> anyhow::Result<String> {
    let mut world =
        "package gtm:core;\n\nworld module {\ninclude gtm:plugin/capabilities@0.2.0;\n".to_owned();
    for interface in exported {
        writeln!(world, "export gtm:plugin/{interface}@0.2.0;")?;
    }
    world.push_str("}\n");
    Ok(world)
}

fn world_0_1(exports: &[String]) -> anyhow::Result<String> {
    let has = |name: &str| exports.iter().any(|export| export == name);
    let base = if has("subscriptions") { "subscriber" } else { "plugin" };
    let mut world = format!(
        "package gtm:core;\n\nworld module {{\n\
         use gtm:plugin/types@0.1.0.{{op as one-of-several, failure as failure-of-one}};\n\
         include gtm:plugin/{base}@0.1.0;\n"
    );
    for capability in ["http", "mail", "mongodb", "state"] {
        writeln!(world, "import gtm:plugin/{capability}@0.1.0;")?;
    }
    // The worlds `batch-handler` and `batch-filter` have more exports, which the module may lack.
    for (name, outcome) in [("handle-batch", "result<_, failure-of-one>"), ("filter-batch", "bool")] {
        if has(name) {
            writeln!(world, "export {name}: func(ops: list<one-of-several>) -> list<{outcome}>;")?;
        }
    }
    world.push_str("}\n");
    Ok(world)
}

/// Adds a package with these files.
fn push(resolve: &mut Resolve, files: &[(&str, &str)]) -> anyhow::Result<wit_parser::PackageId> {
    let mut all = SourceMap::new();
    files.iter().for_each(|(name, text)| all.push(Path::new(name), *text));
    let group = all.parse().map_err(|(_, error)| anyhow::anyhow!("{error:?}"))?;
    Ok(resolve.push_group(group)?)
}
