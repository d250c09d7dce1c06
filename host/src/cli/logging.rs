//! The host's log, on standard error.

use std::io::IsTerminal;

use anyhow::Context;
use gtm_host::config::{Log, LogFormat};
use gtm_host::display::LogWriter;
use tracing_subscriber::EnvFilter;

/// What is logged where nothing is said: the host's and the plugins' own words, and of the
/// libraries' only what is wrong.
const DEFAULT: &str = "warn,gtm_host=info,plugin=info";

pub(super) fn init(settings: &Log) -> anyhow::Result<()> {
    let filter = settings.filter.as_deref().unwrap_or(DEFAULT);
    let filter = EnvFilter::try_new(filter).with_context(|| {
        format!("the log filter \"{filter}\" cannot be understood; give a level such as debug, or info,plugin=debug")
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(LogWriter::default);
    // A reader that is gone (`2>&1 | head`) is no reason to stop.
    let log = log.log_internal_errors(false);
    match settings.format.unwrap_or_default() {
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            log.with_ansi(colours).init();
        }
        LogFormat::Json => {
            log.json().flatten_event(true).with_current_span(false).with_span_list(false).init()
        }
    }
    Ok(())
}
