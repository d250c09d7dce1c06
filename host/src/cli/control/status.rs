//! `gtm-host status`

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use console::{Style, Term};
use gtm_delivery::{HostActivity, HostStatus, PluginState, PluginStatus, TickOutcome, TimerStatus};
use gtm_host::config::Settings;
use gtm_mongo::{SourceState, SourceStatus};
use gtm_runtime::FilterStatus;
use gtm_text::sanitize::line;

use crate::cli::arguments::{Format, StatusArguments};
use crate::cli::output::print;
use crate::cli::table::Columns;

/// The interval between two requests with `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// The number of characters of a version that the table shows.
const VERSION_WIDTH: usize = 10;
/// The number of bytes of an error that the text shows. `--output json` has all of it.
const MAX_ERROR_BYTES: usize = 500;

/// The head of the column whose cells have a colour.
const STATE: &str = "STATE";

/// The columns about the present. Both tables fit into 80 characters if names and numbers are short.
const CURRENT_COLUMNS: [Column; 7] = [
    Column { head: "PLUGIN", numeric: false, cell: |plugin, _| line(&plugin.plugin).into_owned() },
    Column { head: STATE, numeric: false, cell: |plugin, _| plugin.state.name().to_owned() },
    Column { head: "READER", numeric: false, cell: |plugin, _| plugin.reader.name().to_owned() },
    Column { head: "LAG", numeric: true, cell: |plugin, _| plugin.lag_seconds.map_or("?".to_owned(), lag) },
    Column { head: "QUEUED", numeric: true, cell: |plugin, _| plugin.queued_ops.to_string() },
    Column { head: "OPS/S", numeric: true, cell: |plugin, _| format!("{:.1}", plugin.ops_per_second) },
    Column {
        head: "DONE UP TO",
        numeric: false,
        cell: |plugin, _| plugin.position_seconds.map_or("?".to_owned(), |seconds| time(seconds.into())),
    },
];

/// The columns about all ops since the host started.
const TOTAL_COLUMNS: [Column; 8] = [
    Column { head: "PLUGIN", numeric: false, cell: |plugin, _| line(&plugin.plugin).into_owned() },
    Column { head: "HANDLED", numeric: true, cell: |plugin, _| plugin.counts.handled.to_string() },
    Column { head: "FAILED", numeric: true, cell: |plugin, _| plugin.counts.failed.to_string() },
    Column { head: "REJECTED", numeric: true, cell: |plugin, _| plugin.counts.rejected.to_string() },
    Column { head: "ATTEMPTS", numeric: true, cell: |plugin, _| plugin.counts.attempts.to_string() },
    Column { head: "RETRIES", numeric: true, cell: |plugin, _| plugin.counts.retries.to_string() },
    Column {
        head: "LAST ERROR",
        numeric: true,
        cell: |plugin, now| plugin.last_error_seconds.map_or("-".to_owned(), |at| ago(at, now)),
    },
    Column {
        head: "VERSION",
        numeric: false,
        cell: |plugin, _| match plugin.version.as_str() {
            "" => "-".to_owned(),
            version => line(version).chars().take(VERSION_WIDTH).collect(),
        },
    },
];

/// A column of a table. Numbers are aligned to the right.
struct Column {
    head: &'static str,
    numeric: bool,
    /// Returns the cell of a plugin at a time in seconds since 1970.
    cell: fn(&PluginStatus, u64) -> String,
}

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
        std::thread::sleep(WATCH_INTERVAL);
    }
}

/// Returns the status as text, with colours if standard output is a terminal.
fn table(status: &HostStatus) -> String {
    let HostStatus { name, worker, standing, source, plugins } = status;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let worker = worker.as_ref().map(|worker| format!(", worker {worker}")).unwrap_or_default();
    let mut shown = format!("pipeline {}: {}", line(&format!("{name}{worker}")), coloured(*standing));
    if let Some(source) = source {
        shown.push_str(&format!("\nsource: {}", described(source)));
    }
    if plugins.is_empty() {
        return shown;
    }
    for columns in [CURRENT_COLUMNS.as_slice(), TOTAL_COLUMNS.as_slice()] {
        shown.push_str("\n\n");
        shown.push_str(&aligned(columns, plugins, now));
    }
    let chains = chains(plugins);
    if !chains.is_empty() {
        shown.push_str(&format!("\n\n{chains}"));
    }
    if plugins.iter().any(|plugin| !plugin.timers.is_empty()) {
        shown.push_str("\n\n");
        shown.push_str(&timers(plugins));
    }
    for PluginStatus { plugin, last_error, last_error_seconds, .. } in plugins {
        if let Some(error) = last_error {
            let at = last_error_seconds.map(|at| format!(", {} ago", ago(at, now))).unwrap_or_default();
            let error = error.trim_end();
            let end = error.floor_char_boundary(MAX_ERROR_BYTES);
            let cut = if end < error.len() { " … (complete with --output json)" } else { "" };
            let error = error.get(..end).unwrap_or_default();
            shown.push_str(&format!("\n\n{}, last error{at}: {}{cut}", line(plugin), line(error)));
        }
    }
    shown
}

/// Returns a table of the filters before those of plugins, in their order, or an empty text if there are none.
fn chains(plugins: &[PluginStatus]) -> String {
    const HEADS: [&str; 7] = ["PLUGIN", "FILTER", "CALLS", "PASSED", "REFUSED", "FAILED", "µs/OP"];
    let row = |plugin: &PluginStatus, filter: &FilterStatus| {
        let FilterStatus { filter, calls, seconds, passed, refused, failed, .. } = filter;
        let micros = seconds * 1e6 / (passed + refused + failed).max(1) as f64;
        let counts = [calls, passed, refused, failed].map(ToString::to_string);
        let names = [&plugin.plugin, filter].map(|name| line(name).into_owned());
        names.into_iter().chain(counts).chain([format!("{micros:.1}")]).collect::<Vec<_>>()
    };
    let rows = plugins.iter().flat_map(|plugin| plugin.filters.iter().map(|filter| row(plugin, filter)));
    let rows: Vec<_> = std::iter::once(HEADS.map(str::to_owned).to_vec()).chain(rows).collect();
    if rows.len() == 1 {
        return String::new();
    }
    Columns::new((0..HEADS.len()).map(|column| column > 1).collect()).lines(&rows).join("\n")
}

/// Returns a table of the timers.
fn timers(plugins: &[PluginStatus]) -> String {
    let heads = ["PLUGIN", "TIMER", "NEXT TICK", "LAST TICK", "OUTCOME", "HANDLED", "FAILED", "REJECTED"];
    let row = |plugin: &PluginStatus, timer: &TimerStatus| {
        let at = |seconds: Option<u32>| seconds.map_or("-".to_owned(), |seconds| time(seconds.into()));
        vec![
            line(&plugin.plugin).into_owned(),
            line(&timer.timer).into_owned(),
            at(timer.next_seconds),
            at(timer.last_seconds),
            timer.last_outcome.map_or("-", TickOutcome::name).to_owned(),
            timer.handled.to_string(),
            timer.failed.to_string(),
            timer.rejected.to_string(),
        ]
    };
    let rows = plugins.iter().flat_map(|plugin| plugin.timers.iter().map(|timer| row(plugin, timer)));
    let rows: Vec<_> = std::iter::once(heads.map(str::to_owned).to_vec()).chain(rows).collect();
    let numeric = heads.map(|head| matches!(head, "HANDLED" | "FAILED" | "REJECTED")).to_vec();
    Columns::new(numeric).lines(&rows).join("\n")
}

fn described(source: &SourceStatus) -> String {
    let SourceStatus { state, since_seconds, newest_seconds, last_error, .. } = source;
    let style = match state {
        SourceState::Connected => Style::new().green(),
        SourceState::Connecting => Style::new().yellow(),
        SourceState::Reconnecting => Style::new().red(),
    };
    let newest = newest_seconds.map(|newest| format!(", newest change {}", time(newest.into())));
    let error = last_error.as_ref().map(|error| format!("\n  {}", line(error.trim_end())));
    let state = style.apply_to(state.name());
    let (newest, error) = (newest.unwrap_or_default(), error.unwrap_or_default());
    format!("{state} since {}{newest}{error}", time(*since_seconds))
}

/// Returns a line of heads and a line for each plugin.
fn aligned(columns: &[Column], plugins: &[PluginStatus], now: u64) -> String {
    let cell = |column: &Column, plugin: &PluginStatus| {
        let cell = (column.cell)(plugin, now);
        if column.head == STATE { style(plugin.state).apply_to(cell).to_string() } else { cell }
    };
    let heads = columns.iter().map(|column| column.head.to_owned()).collect();
    let rows = plugins.iter().map(|plugin| columns.iter().map(|column| cell(column, plugin)).collect());
    let rows: Vec<Vec<String>> = std::iter::once(heads).chain(rows).collect();
    Columns::new(columns.iter().map(|column| column.numeric).collect()).lines(&rows).join("\n")
}

/// Returns a lag as `0.0 s`, `45 s` or `1h 3m`: the larger, the less exact.
fn lag(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{seconds:.1} s");
    }
    span(Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs())
}

/// Returns the time since `at`.
fn ago(at: u64, now: u64) -> String {
    span(now.saturating_sub(at))
}

/// Returns a time span as `45 s`, `3m 20s`, `1h 3m` or `2d 5h`.
fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes}m {}s", seconds % 60),
        3600..86400 => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

fn time(seconds: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

fn style(state: PluginState) -> Style {
    match state {
        PluginState::Running => Style::new().green(),
        PluginState::Paused => Style::new().yellow(),
        PluginState::Failing | PluginState::Blocked | PluginState::Stopped => Style::new().red(),
    }
}

fn coloured(standing: HostActivity) -> String {
    let style = match standing {
        HostActivity::Active => Style::new().green(),
        HostActivity::Starting | HostActivity::Standby | HostActivity::Stopping => Style::new().yellow(),
    };
    style.apply_to(standing.name()).to_string()
}

#[cfg(test)]
mod tests {
    use console::measure_text_width;

    use super::*;

    /// Returns the status of an older host, which has fewer fields.
    fn status(plugins: &str) -> HostStatus {
        let text = format!(r#"{{"name":"shop","standing":"active","plugins":[{plugins}]}}"#);
        serde_json::from_str(&text).unwrap()
    }

    const PLUGIN: &str = r#"{"plugin":"NAME","version":"1.0.0 (0123456789abcdef)","state":"failing","reader":"shared","position":"1795761409.5",
        "positionSeconds":1795761409,"checkpoint":null,"lagSeconds":75.2,"queuedOps":12345,"queuedBytes":9,"opsPerSecond":12345.6,
        "counts":{"read":1,"unwanted":0,"handled":12345678,"rejected":12,"failed":3,"attempts":12345699,"retries":1234,"unfinished":0},
        "deadLetters":0,"lastError":"no route","lastErrorSeconds":1795761400}"#;

    #[test]
    fn tables_are_aligned_and_fit_into_80_columns() {
        let plugins = [PLUGIN.replace("NAME", "print_ops"), PLUGIN.replace("NAME", "Łódź_漢字")].join(",");
        let shown = table(&status(&plugins));
        for head in ["PLUGIN", "HANDLED"] {
            let head = shown.lines().position(|line| line.contains(head)).unwrap();
            let lines: Vec<_> = shown.lines().skip(head).take(3).collect();
            assert!(lines.iter().all(|line| measure_text_width(line) <= 80), "{shown}");
            // The second column begins below its head, and each number ends below the end of its head.
            let (state, end) = (lines[0].find("STATE"), lines[0].find("OPS/S").map(|start| start + 5));
            for line in &lines[1..] {
                let before = |at: usize| {
                    line.chars()
                        .take_while({
                            let mut width = 0;
                            move |c| {
                                let fits = width < at;
                                width += measure_text_width(&c.to_string());
                                fits
                            }
                        })
                        .collect::<String>()
                };
                assert!(state.is_none_or(|at| line[before(at).len()..].starts_with("failing")), "{shown}");
                assert!(end.is_none_or(|at| before(at).ends_with("12345.6")), "{shown}");
            }
        }
        assert!(shown.contains("\n\nprint_ops, last error, "), "{shown}");
        assert!(shown.ends_with(": no route"), "{shown}");
    }

    #[test]
    fn an_older_host_is_understood() {
        let older = r#"{"plugin":"a","version":"1","state":"running","reader":"none","position":null,"positionSeconds":null,"checkpoint":null,
            "lagSeconds":null,"queuedOps":0,"queuedBytes":0,"opsPerSecond":0.0,"counts":{"read":0,"unwanted":0,"handled":0,"rejected":0,
            "failed":0,"retries":0,"unfinished":0},"deadLetters":0,"metrics":{"counters":{},"gauges":{"level":null},"histograms":{}}}"#;
        let shown = table(&status(older));
        assert!(shown.starts_with("pipeline shop: active\n\nPLUGIN"), "{shown}");
    }

    #[test]
    fn spans_are_short() {
        let spans = [0, 59, 60, 3599, 3600, 90_000].map(span);
        assert_eq!(spans, ["0 s", "59 s", "1m 0s", "59m 59s", "1h 0m", "1d 1h"]);
        assert_eq!((lag(0.04), lag(9.96), lag(12.7)), ("0.0 s".into(), "10.0 s".into(), "12 s".into()));
    }
}
