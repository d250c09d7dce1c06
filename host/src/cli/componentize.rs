//! `gtm-host componentize`: converts a core WebAssembly module into a plugin component.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use gtm_runtime::{contract_interfaces, unsupported};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap};

use super::arguments::ComponentizeArguments;
use super::output::print_text;

/// The files of the contract.
const CONTRACT: [(&str, &str); 10] = [
    ("extended-json.wit", include_str!("../../../wit/extended-json.wit")),
    ("http.wit", include_str!("../../../wit/http.wit")),
    ("log.wit", include_str!("../../../wit/log.wit")),
    ("mail.wit", include_str!("../../../wit/mail.wit")),
    ("metrics.wit", include_str!("../../../wit/metrics.wit")),
    ("mongodb.wit", include_str!("../../../wit/mongodb.wit")),
    ("state.wit", include_str!("../../../wit/state.wit")),
    ("subscriptions.wit", include_str!("../../../wit/subscriptions.wit")),
    ("types.wit", include_str!("../../../wit/types.wit")),
    ("world.wit", include_str!("../../../wit/world.wit")),
];
const WASI_CONFIG: &str = include_str!("../../../wit/deps/wasi-config/package.wit");

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
            "{} does not fit the contract: {error:#}. help: name its exports as wit/ does (filter, handle and cabi_realloc), and its \
             imports too (gtm:plugin/log@0.1.0)",
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

/// Returns the contract with a world that has all capabilities, and the optional exports of this module.
fn contract(exports: &[String]) -> anyhow::Result<(Resolve, wit_parser::WorldId)> {
    let has = |name: &str| exports.iter().any(|export| export == name);
    let base = if has("subscriptions") { "subscriber" } else { "plugin" };
    let mut world = format!(
        "package gtm:core;\n\nworld module {{\n\
         use gtm:plugin/types@0.1.0.{{op as one-of-several, failure as failure-of-one}};\n\
         include gtm:plugin/{base}@0.1.0;\n"
    );
    for interface in contract_interfaces() {
        writeln!(world, "import {interface}@0.1.0;")?;
    }
    // The worlds `batch-handler` and `batch-filter` have more exports, which the module may lack.
    for (name, outcome) in [("handle-batch", "result<_, failure-of-one>"), ("filter-batch", "bool")] {
        if has(name) {
            writeln!(world, "export {name}: func(ops: list<one-of-several>) -> list<{outcome}>;")?;
        }
    }
    world.push_str("}\n");
    let mut resolve = Resolve::default();
    push(&mut resolve, &[("wasi-config.wit", WASI_CONFIG)])?;
    push(&mut resolve, &CONTRACT)?;
    let package = push(&mut resolve, &[("module.wit", &world)])?;
    let world = resolve.select_world(&[package], None)?;
    Ok((resolve, world))
}

/// Adds a package with these files.
fn push(resolve: &mut Resolve, files: &[(&str, &str)]) -> anyhow::Result<wit_parser::PackageId> {
    let mut all = SourceMap::new();
    files.iter().for_each(|(name, text)| all.push(Path::new(name), *text));
    let group = all.parse().map_err(|(_, error)| anyhow::anyhow!("{error:?}"))?;
    Ok(resolve.push_group(group)?)
}
