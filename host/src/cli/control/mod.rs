//! `gtm-host status`, `pause`, `resume`, `seek` and `swap`: observes and controls a running host.

mod status;

use std::process::ExitCode;

use anyhow::Context;
use gtm_delivery::Swapped;
use gtm_host::admin::AdminClient;
use gtm_host::config::Settings;
use gtm_text::sanitize::line;
use serde_json::json;
pub(super) use status::run as status;

use super::arguments::{Format, SeekArguments, SteerArguments, SwapArguments};
use super::output::{print_json, print_text};

pub(super) fn pause(arguments: &SteerArguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let plugins = client(settings)?.pause(arguments.plugin.as_deref())?;
    print_plugins("paused", arguments.asked.output, &plugins)
}

pub(super) fn resume(arguments: &SteerArguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let plugins = client(settings)?.resume(arguments.plugin.as_deref())?;
    print_plugins("resumed", arguments.asked.output, &plugins)
}

pub(super) fn seek(arguments: &SeekArguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let SeekArguments { to, steer } = arguments;
    let plugins = client(settings)?.seek(steer.plugin.as_deref(), to)?;
    print_plugins(&format!("moved to {to}"), steer.asked.output, &plugins)
}

pub(super) fn swap(arguments: &SwapArguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let SwapArguments { plugin, file, asked } = arguments;
    // The host may run in another directory.
    let file = file.canonicalize().with_context(|| format!("{} cannot be read", file.display()))?;
    let file = file.to_str().context("the path of the plugin is not UTF-8")?;
    let Swapped { version, warning } = client(settings)?.swap(plugin, file)?;
    if let Some(warning) = &warning {
        tracing::warn!(
            event = "plugin.swap_warn",
            plugin,
            warning,
            "this may not be the version that was meant"
        );
    }
    match asked.output {
        Format::Text => print_text(&line(&format!("running version {version}: {plugin}")))?,
        Format::Json => print_json(&json!({ "plugins": [plugin], "version": version, "warning": warning }))?,
    };
    Ok(ExitCode::SUCCESS)
}

/// Returns a client of the host at the configured address, or else of this user's host with the configured name.
fn client(settings: &Settings) -> anyhow::Result<AdminClient> {
    Ok(match &settings.admin.listen {
        Some(address) => AdminClient::new(address, settings.admin.token()?.as_deref())?,
        None => AdminClient::of_pipeline(settings.name.as_deref())?,
    })
}

/// Prints the plugins that carried out a command.
fn print_plugins(what: &str, output: Format, plugins: &[String]) -> anyhow::Result<ExitCode> {
    match output {
        Format::Text => print_text(&line(&format!("{what}: {}", plugins.join(", "))))?,
        Format::Json => print_json(&json!({ "plugins": plugins }))?,
    };
    Ok(ExitCode::SUCCESS)
}
