//! How a running host is seen and steered.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use gtm_host::admin::AdminAddress;
use gtm_host::config::{AdminSettings, Settings};
use gtm_source::{NoStart, Start};
use gtm_text::units::parse_time;

use super::common::{CommonArguments, Format};
use super::{Typed, overlay};

/// Where a host is seen and steered.
#[derive(Debug, Args)]
#[command(next_help_heading = "Admin API")]
pub(in crate::cli) struct AdminArguments {
    /// Where a running host is seen and steered over HTTP. Each host has a Unix socket, by which status, pause, resume, seek and
    /// swap of the same user find it. HOST:PORT, like 127.0.0.1:9797, adds TCP, with a token; the path of a socket takes the place
    /// of the usual one; none: no API at all
    #[arg(long, env = "GTM_ADMIN", value_name = "HOST:PORT|PATH|none")]
    admin: Option<AdminAddress>,

    /// The token that is wanted by TCP, for GET /status and all that steers. By default the host makes one in a file, where commands of the same user find it
    #[arg(long, env = "GTM_ADMIN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    admin_token: Option<String>,

    /// A file that holds the token
    #[arg(long, env = "GTM_ADMIN_TOKEN_FILE", value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
}

impl AdminArguments {
    /// A file that was typed goes before a value of the environment.
    pub(super) fn prefer_typed(&mut self, typed: Typed<'_>) {
        if typed("admin_token_file") && !typed("admin_token") {
            self.admin_token = None;
        }
    }

    pub(super) fn lay_over(&self, settings: &mut Settings) {
        let AdminSettings { listen, token, token_file, .. } = &mut settings.admin;
        // A file that is named here goes before a value in the settings file.
        if self.admin_token_file.is_some() {
            *token = None;
        }
        overlay(listen, &self.admin);
        overlay(token, &self.admin_token);
        overlay(token_file, &self.admin_token_file);
    }
}

/// How a host says whether it is ready, and what it takes from whoever steers it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Admin API")]
pub(in crate::cli) struct ReadyArguments {
    /// How long MongoDB may not answer before GET /ready returns 503, like 30s or 2m [default: 30s]
    #[arg(long, env = "GTM_READY_GRACE", value_name = "TIME", value_parser = parse_time)]
    ready_grace: Option<Duration>,

    /// A directory from which gtm-host swap may take files, with those in it; beside that of the plugin's own file, and
    /// --plugin-dir. May be given more than once; in the variable, a directory a line
    #[arg(long, env = "GTM_SWAP_FROM", value_name = "DIR")]
    swap_from: Vec<PathBuf>,
}

impl ReadyArguments {
    pub(super) fn lay_over(&self, settings: &mut Settings) {
        settings.admin.swap_from.extend(self.swap_from.iter().cloned());
        overlay(&mut settings.admin.ready_grace, &self.ready_grace);
    }
}

/// What a running host does.
#[derive(Debug, Args)]
pub(in crate::cli) struct StatusArguments {
    /// Ask again each second, until Ctrl-C
    #[arg(short, long)]
    pub(in crate::cli) watch: bool,
    #[command(flatten)]
    pub(in crate::cli) asked: AskedArguments,
}

/// A plugin that is told to do something.
#[derive(Debug, Args)]
pub(in crate::cli) struct SteerArguments {
    /// Which plugin. By default all of them; for seek, the only one that there is
    #[arg(short, long, value_name = "NAME")]
    pub(in crate::cli) plugin: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) asked: AskedArguments,
}

/// A plugin that goes on from elsewhere.
#[derive(Debug, Args)]
pub(in crate::cli) struct SeekArguments {
    /// From where on: now, oldest, a time like 2026-01-31T12:00:00Z or 2026-01-31T14:00:00+02:00, a span before now like
    /// -10m, today or yesterday (at 00:00 UTC), after the entry SECONDS.INCREMENT, or after an op, by its id
    #[arg(value_name = "START", allow_hyphen_values = true, value_parser = start)]
    pub(in crate::cli) to: String,
    #[command(flatten)]
    pub(in crate::cli) steer: SteerArguments,
}

/// The words of a start, which the host that is asked understands by its own clock.
fn start(words: &str) -> Result<String, NoStart> {
    words.parse::<Start>().map(|_| words.to_owned())
}

/// A plugin that goes on with another version.
#[derive(Debug, Args)]
pub(in crate::cli) struct SwapArguments {
    /// Which plugin
    #[arg(value_name = "NAME")]
    pub(in crate::cli) plugin: String,
    /// The version to go on with
    #[arg(value_name = "FILE")]
    pub(in crate::cli) file: PathBuf,
    #[command(flatten)]
    pub(in crate::cli) asked: AskedArguments,
}

/// Which host is asked, and what is printed.
#[derive(Debug, Args)]
pub(in crate::cli) struct AskedArguments {
    /// What is printed: text for people, or JSON objects, one a line
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(in crate::cli) output: Format,
    #[command(flatten)]
    pub(super) common: CommonArguments,
    /// The name of the pipeline of the host. By default the only one that this user runs here
    #[arg(long, env = "GTM_NAME", value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: Option<String>,
    #[command(flatten)]
    pub(super) admin: AdminArguments,
}

impl AskedArguments {
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        let mut settings = self.common.settings()?;
        overlay(&mut settings.name, &self.name);
        self.admin.lay_over(&mut settings);
        Ok(settings)
    }
}
