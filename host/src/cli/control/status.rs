//! `gtm-host status`

use std::fmt::Write;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use console::{Style, Term};
use gtm_host::config::Settings;
use gtm_host::delivery::{HostStatus, PluginState, PluginStatus, Standing};
use gtm_host::text::line;

use crate::cli::arguments::{Format, StatusArguments};
use crate::cli::output::print;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// Signs of a version that tell it from others.
const VERSION: usize = 12;
const HEAD: [&str; 11] = [
    "PLUGIN",
    "STATE",
    "READER",
    "LAG",
    "QUEUED",
    "OPS/S",
    "HANDLED",
    "FAILED",
    "REJECTED",
    "DONE UP TO",
    "VERSION",
];
/// The columns of text; numbers stand right.
const TEXT: [usize; 5] = [0, 1, 2, 9, 10];

pub(in crate::cli) fn run(arguments: &StatusArguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let client = super::client(settings)?;
    let terminal = Term::stdout();
    loop {
        let status = client.status()?;
        let shown = match arguments.asked.output {
            Format::Json => serde_json::to_string(&status)?,
            Format::Text => table(&status),
        };
        if arguments.watch && arguments.asked.output == Format::Text && terminal.is_term() {
            terminal.clear_screen()?;
        }
        if !print(shown.as_bytes())? || !arguments.watch {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(PAUSE);
    }
}

/// For people. Colours come on a terminal only.
fn table(status: &HostStatus) -> String {
    let HostStatus { name, worker, standing, plugins } = status;
    let worker = worker.as_ref().map(|worker| format!(", worker {worker}")).unwrap_or_default();
    let mut shown = format!("pipeline {}: {}", line(&format!("{name}{worker}")), coloured(*standing));
    if plugins.is_empty() {
        return shown;
    }
    let rows: Vec<[String; 11]> =
        std::iter::once(HEAD.map(str::to_owned)).chain(plugins.iter().map(row)).collect();
    let mut widths = [0; 11];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let states = std::iter::once(None).chain(plugins.iter().map(|plugin| Some(plugin.state)));
    for (row, state) in rows.iter().zip(states) {
        shown.push('\n');
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let padding = " ".repeat(width - cell.chars().count());
            let gap = if column == 0 { "" } else { "  " };
            let cell = match state {
                Some(state) if column == 1 => style(state).apply_to(cell).to_string(),
                _ => cell.clone(),
            };
            let _ = if TEXT.contains(&column) {
                write!(shown, "{gap}{cell}{padding}")
            } else {
                write!(shown, "{gap}{padding}{cell}")
            };
        }
        shown.truncate(shown.trim_end().len());
    }
    for PluginStatus { plugin, last_error, .. } in plugins {
        if let Some(error) = last_error {
            let _ = write!(shown, "\n{}, last error: {}", line(plugin), line(error.trim_end()));
        }
    }
    shown
}

fn row(plugin: &PluginStatus) -> [String; 11] {
    let counts = &plugin.counts;
    let version: String = line(&plugin.version).chars().take(VERSION).collect();
    [
        line(&plugin.plugin).into_owned(),
        plugin.state.name().to_owned(),
        plugin.reader.name().to_owned(),
        plugin.lag_seconds.map_or("?".to_owned(), |lag| format!("{lag:.1} s")),
        plugin.queued_ops.to_string(),
        format!("{:.1}", plugin.ops_per_second),
        counts.handled.to_string(),
        counts.failed.to_string(),
        counts.rejected.to_string(),
        plugin.position_seconds.map_or("?".to_owned(), |seconds| {
            let time = UNIX_EPOCH + Duration::from_secs(seconds.into());
            humantime::format_rfc3339_seconds(time).to_string()
        }),
        version,
    ]
}

fn style(state: PluginState) -> Style {
    match state {
        PluginState::Running => Style::new().green(),
        PluginState::Paused => Style::new().yellow(),
        PluginState::Failing | PluginState::Stopped => Style::new().red(),
    }
}

fn coloured(standing: Standing) -> String {
    let style = match standing {
        Standing::Active => Style::new().green(),
        Standing::Starting | Standing::Standby | Standing::Stopping => Style::new().yellow(),
    };
    style.apply_to(standing.name()).to_string()
}
