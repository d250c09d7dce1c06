//! Sets up the log of the host on standard error.

use std::io::IsTerminal;

use anyhow::{Context, bail};
use gtm_host::config::{LogFormat, LogSettings};
use gtm_runtime::audit;
use gtm_text::LogWriter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::log_format::{LineFormat, SpanFields};
use super::plugin_errors::PluginErrors;

/// The default filter: events of the host and of plugins, and only warnings of libraries.
const DEFAULT: &str = "warn,gtm_host=info,plugin=info";
/// The directive that keeps the audit log, unless the filter names its target.
const AUDIT: &str = "gtm_host::audit=info";

/// Sets up the log. `errors` collects those of plugins.
pub(super) fn init(settings: &LogSettings, errors: Option<PluginErrors>) -> anyhow::Result<()> {
    let filter = settings.filter.as_deref().unwrap_or(DEFAULT);
    if filter.split(',').all(|directive| directive.trim().is_empty()) {
        bail!(
            "the log filter is empty. help: leave --log out for the default, or pass --log off to log nothing"
        );
    }
    let names_audit = filter.contains(audit::TARGET);
    let filter = EnvFilter::try_new(with_all_crates(filter)).with_context(|| {
        format!("the log filter \"{filter}\" is not valid. help: pass --log with a level such as debug, or with directives such as info,plugin=debug")
    })?;
    let filter = match names_audit {
        true => filter,
        false => filter.add_directive(AUDIT.parse()?),
    };
    let has_colors = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt::layer().with_writer(LogWriter::default).with_ansi(has_colors);
    // The host continues without a reader of its log (`2>&1 | head`).
    let lines =
        lines.log_internal_errors(false).event_format(LineFormat(settings.format.unwrap_or_default()));
    tracing_subscriber::registry().with(filter).with(SpanFields).with(lines).with(errors).init();
    Ok(())
}

/// Logs without a filter, in this format: also before the log is set up.
pub(super) fn unfiltered(format: LogFormat, log: impl FnOnce()) {
    let lines = tracing_subscriber::fmt::layer().with_writer(LogWriter::default).with_ansi(false);
    let lines = lines.log_internal_errors(false).event_format(LineFormat(format));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), log);
}

/// Returns the filter in which `gtm_host` means all crates of the host, whose targets begin with `gtm`.
fn with_all_crates(filter: &str) -> String {
    let directives =
        filter.split(',').map(str::trim).map(|directive| match directive.strip_prefix("gtm_host") {
            Some(rest) if !rest.starts_with([':', '_']) => format!("gtm{rest}"),
            _ => directive.to_owned(),
        });
    directives.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_all_of_its_crates() {
        assert_eq!(with_all_crates(DEFAULT), "warn,gtm=info,plugin=info");
        assert_eq!(with_all_crates("gtm_host, plugin=debug"), "gtm,plugin=debug");
        let one = "gtm_host::audit=off,gtm_delivery=trace,gtm_host_x=info";
        assert_eq!(with_all_crates(one), one);
    }
}
