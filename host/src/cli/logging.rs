//! Sets up the log of the host on standard error.

use std::fmt;
use std::io::IsTerminal;

use anyhow::{Context, bail};
use gtm_host::config::{LogFormat, LogSettings};
use gtm_runtime::audit;
use gtm_text::{LogWriter, sanitize};
use tracing::field::{Field, Visit};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// The default filter: events of the host and of plugins, and only warnings of libraries.
const DEFAULT: &str = "warn,gtm_host=info,plugin=info";
/// The directive that keeps the audit log, unless the filter names its target.
const AUDIT: &str = "gtm_host::audit=info";

pub(super) fn init(settings: &LogSettings) -> anyhow::Result<()> {
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
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(LogWriter::default);
    // The host continues without a reader of its log (`2>&1 | head`).
    let log = log.log_internal_errors(false);
    match settings.format.unwrap_or_default() {
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            log.with_ansi(colours).fmt_fields(TextFields).init();
        }
        LogFormat::Json => {
            log.json().flatten_event(true).with_current_span(false).with_span_list(false).init()
        }
    }
    Ok(())
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

/// Formats an event as one line: the message, then `name=value` for each field. A value with spaces or quotes is quoted, and its backslashes
/// and quotes are escaped.
#[derive(Debug)]
struct TextFields;

impl<'writer> FormatFields<'writer> for TextFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut line = LogLine { writer, is_empty: true, result: Ok(()) };
        fields.record(&mut line);
        line.result
    }
}

struct LogLine<'writer> {
    writer: Writer<'writer>,
    is_empty: bool,
    result: fmt::Result,
}

impl LogLine<'_> {
    fn write(&mut self, field: &Field, value: &str) -> fmt::Result {
        // An event of the crate log has its origin as fields; the line has it already.
        if field.name().starts_with("log.") {
            return Ok(());
        }
        if !std::mem::take(&mut self.is_empty) {
            self.writer.write_char(' ')?;
        }
        if field.name() == "message" {
            return self.writer.write_str(&sanitize::line(value));
        }
        let is_plain = |character: char| !character.is_whitespace() && !matches!(character, '"' | '=' | '\\');
        match !value.is_empty() && value.chars().all(is_plain) {
            true => write!(self.writer, "{}={}", field.name(), sanitize::line(value)),
            false => {
                // Backslashes first, or one before a quote would take the escape away.
                let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
                write!(self.writer, "{}=\"{}\"", field.name(), sanitize::line(&escaped))
            }
        }
    }
}

impl Visit for LogLine<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if self.result.is_ok() {
            self.result = self.write(field, value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// The captured log.
    #[derive(Clone, Default)]
    struct CapturedLog(Arc<Mutex<Vec<u8>>>);

    impl Write for CapturedLog {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Parses the fields of a line.
    fn fields(line: &str) -> Vec<(String, String)> {
        let (mut fields, mut rest) = (Vec::new(), line);
        while let Some((name, after)) = rest.split_once('=') {
            let name = name.trim_start().to_owned();
            let Some(quoted) = after.strip_prefix('"') else {
                let (value, left) = after.split_once(' ').unwrap_or((after, ""));
                fields.push((name, value.to_owned()));
                rest = left;
                continue;
            };
            let (mut value, mut characters) = (String::new(), quoted.chars());
            while let Some(character) = characters.next().filter(|character| *character != '"') {
                value.push(if character == '\\' { characters.next().unwrap() } else { character });
            }
            fields.push((name, value));
            rest = characters.as_str();
        }
        fields
    }

    #[test]
    fn no_value_of_a_field_makes_up_another() {
        for value in [
            r#"/x\" outcome=done user=0 a=""#,
            r#"/x\\" outcome=done"#,
            r"a\",
            r"\",
            r#"""#,
            "a=b",
            "plain",
            r"C:\a b",
        ] {
            let kept = CapturedLog::default();
            let writer = kept.clone();
            let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
            let log = log.without_time().with_level(false).with_target(false).fmt_fields(TextFields).finish();
            tracing::subscriber::with_default(log, || tracing::info!(detail = value, user = 7));
            let line = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
            let expected = [("detail".to_owned(), value.to_owned()), ("user".to_owned(), "7".to_owned())];
            assert_eq!(fields(line.trim()), expected, "{line}");
        }
    }

    #[test]
    fn the_host_is_all_of_its_crates() {
        assert_eq!(with_all_crates(DEFAULT), "warn,gtm=info,plugin=info");
        assert_eq!(with_all_crates("gtm_host, plugin=debug"), "gtm,plugin=debug");
        let one = "gtm_host::audit=off,gtm_delivery=trace,gtm_host_x=info";
        assert_eq!(with_all_crates(one), one);
    }
}
