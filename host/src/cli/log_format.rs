//! The form of a log line: the fields of an event and of the spans around it, each once, as text or as JSON.

use std::error::Error;
use std::fmt;

use gtm_host::config::LogFormat;
use gtm_host::remedy::{remedy, sentence};
use gtm_text::sanitize;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Scope};

/// The fields that come first in a line, in this order.
const FIRST_FIELDS: [&str; 4] = ["event", "plugin", "op", "attempt"];
/// The field that comes last.
const LAST_FIELD: &str = "help";
/// The text between the sentence of an error and its help.
pub(super) const HELP: &str = ". help: ";
/// The fields whose sentences may end with a help.
const SENTENCES: [&str; 3] = ["error", "reason", "warning"];

/// The fields of a span or of an event.
#[derive(Clone, Debug, Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    /// Sets a field. The last value of a name counts.
    fn set(&mut self, name: &'static str, value: Value) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let index = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.remove(index).1)
    }

    /// Gives a help that is at the end of a sentence a field of its own.
    fn split_help(&mut self) {
        let mut helps = Vec::new();
        for (name, value) in &mut self.0 {
            if let Value::String(text) = value
                && SENTENCES.contains(name)
                && let Some((sentence, help)) = text.split_once(HELP)
            {
                helps.push(help.to_owned());
                *value = sentence.into();
            }
        }
        if !helps.is_empty() {
            let own = self.take(LAST_FIELD);
            helps.extend(own.as_ref().and_then(Value::as_str).map(str::to_owned));
            self.set(LAST_FIELD, helps.join("; ").into());
        }
    }

    fn sort(&mut self) {
        self.0.sort_by_key(|(name, _)| match FIRST_FIELDS.iter().position(|first| first == name) {
            Some(place) => place,
            None => FIRST_FIELDS.len() + usize::from(*name == LAST_FIELD),
        });
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        let number = serde_json::Number::from_f64(value);
        self.set(field.name(), number.map_or_else(|| value.to_string().into(), Value::from));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value.into());
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        let number = i64::try_from(value);
        self.set(field.name(), number.map_or_else(|_| value.to_string().into(), Value::from));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        let number = u64::try_from(value);
        self.set(field.name(), number.map_or_else(|_| value.to_string().into(), Value::from));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), value.into());
    }

    /// Sets the error with its causes, and the help for it, which only this program knows.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.set(field.name(), sentence(value).into());
        if let Some(help) = remedy(value) {
            self.set(LAST_FIELD, help.into());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field.name(), format!("{value:?}").into());
    }
}

/// Keeps the fields of the host's spans for the events inside of them.
#[derive(Debug)]
pub(super) struct SpanFields;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SpanFields {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        // The spans of libraries have fields for their own events.
        let span = context.span(id).filter(|span| span.metadata().target().starts_with("gtm_"));
        if let Some(span) = span {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }
}

/// Writes events as lines.
///
/// As text, a line has the time, the level, the target, the message, then the fields as `name=value`. As JSON, a line is
/// an object with `timestamp`, `level`, `target`, `message` and the fields. Needs [`SpanFields`] for the spans' fields.
#[derive(Debug)]
pub(super) struct LineFormat(pub(super) LogFormat);

impl<S, N> FormatEvent<S, N> for LineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(Fields(of_span)) = span.extensions().get() {
                of_span.iter().for_each(|(name, value)| fields.set(name, value.clone()));
            }
        }
        event.record(&mut fields);
        // An event of the crate log has its target in a field.
        let target = fields.take("log.target");
        fields.0.retain(|(name, _)| !name.starts_with("log."));
        let message = fields.take("message");
        fields.split_help();
        fields.sort();
        let line = Line {
            level: *event.metadata().level(),
            target: target.as_ref().and_then(Value::as_str).unwrap_or(event.metadata().target()),
            message: message.as_ref().and_then(Value::as_str).unwrap_or_default(),
            fields,
        };
        match self.0 {
            LogFormat::Text => line.write_text(writer),
            LogFormat::Json => line.write_json(writer),
        }
    }
}

/// What a line says, besides the time.
struct Line<'a> {
    level: Level,
    target: &'a str,
    message: &'a str,
    fields: Fields,
}

impl Line<'_> {
    /// Writes one line of text, whatever is in it. A value with spaces or quotes is quoted, with its backslashes and quotes
    /// escaped, so that no value looks like another field.
    fn write_text(&self, mut writer: Writer<'_>) -> fmt::Result {
        let has_colors = writer.has_ansi_escapes();
        let paint = |code: &'static str| if has_colors { code } else { "" };
        let (dim, plain) = (paint("\x1b[2m"), paint("\x1b[0m"));
        let level = paint(match self.level {
            Level::ERROR => "\x1b[31m",
            Level::WARN => "\x1b[33m",
            Level::INFO => "\x1b[32m",
            Level::DEBUG => "\x1b[34m",
            Level::TRACE => "\x1b[35m",
        });
        write!(writer, "{dim}")?;
        SystemTime.format_time(&mut writer)?;
        write!(writer, "{plain} {level}{:>5}{plain} {dim}{}:{plain}", self.level, self.target)?;
        if !self.message.is_empty() {
            write!(writer, " {}", sanitize::line(self.message))?;
        }
        for (name, value) in &self.fields.0 {
            write!(writer, " {dim}{name}={plain}")?;
            match value {
                Value::String(text) => write_text_value(&mut writer, text)?,
                other => write!(writer, "{other}")?,
            }
        }
        writeln!(writer)
    }

    fn write_json(&self, mut writer: Writer<'_>) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let head = [
            ("timestamp", Value::from(time)),
            ("level", self.level.to_string().into()),
            ("target", self.target.into()),
            ("message", self.message.into()),
        ];
        let mut before = '{';
        for (name, value) in head.iter().chain(&self.fields.0) {
            write!(writer, "{before}{}:{value}", Value::from(*name))?;
            before = ',';
        }
        writeln!(writer, "}}")
    }
}

fn write_text_value(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    let is_plain = |character: char| !character.is_whitespace() && !matches!(character, '"' | '=' | '\\');
    match !text.is_empty() && text.chars().all(is_plain) {
        true => write!(writer, "{}", sanitize::line(text)),
        false => {
            // Backslashes first, or one before a quote would take the escape away.
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
            write!(writer, "\"{}\"", sanitize::line(&escaped))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// The log as it was written.
    #[derive(Clone, Default)]
    struct CapturedLog(Arc<Mutex<Vec<u8>>>);

    impl io::Write for CapturedLog {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns the lines that `log` writes.
    fn lines(format: LogFormat, log: impl FnOnce()) -> Vec<String> {
        let captured = CapturedLog::default();
        let writer = captured.clone();
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
        let layer = layer.event_format(LineFormat(format));
        let subscriber = tracing_subscriber::registry().with(SpanFields).with(layer);
        tracing::subscriber::with_default(subscriber, log);
        let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Parses the fields of a text line by the rules of its quotes.
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

    /// Logs an event inside of the spans of a plugin, an op and an attempt.
    fn retry() {
        let plugin = tracing::error_span!("plugin", plugin = "a").entered();
        let op = tracing::debug_span!("op", op = "1.2").entered();
        let _attempt = tracing::debug_span!("attempt", attempt = 1).entered();
        tracing::warn!(help = "wait", delay_ms = 100_u128, attempt = 2, event = "op.retry", "retrying");
        drop((op, plugin));
    }

    #[test]
    fn a_text_line_has_each_field_of_the_event_and_its_spans_once() {
        let all = lines(LogFormat::Text, retry);
        let (_, line) = all[0].split_once("log_format::tests: ").unwrap();
        assert_eq!(line, "retrying event=op.retry plugin=a op=1.2 attempt=2 delay_ms=100 help=wait");
        assert!(all[0].contains("  WARN "), "{all:?}");
    }

    #[test]
    fn a_json_line_has_each_field_of_the_event_and_its_spans_once() {
        let all = lines(LogFormat::Json, retry);
        let (_, rest) = all[0].split_once(r#","level":"WARN","target":""#).unwrap();
        let (_, rest) = rest.split_once(r#"tests","message":"#).unwrap();
        let expected = r#""retrying","event":"op.retry","plugin":"a","op":"1.2","attempt":2,"delay_ms":100,"help":"wait"}"#;
        assert_eq!(rest, expected);
        assert!(serde_json::from_str::<Value>(&all[0]).unwrap()["timestamp"].is_string());
    }

    #[test]
    fn an_error_of_a_library_is_logged_with_its_help() {
        let error: &(dyn Error + 'static) = &gtm_source::oplog::OplogError::TokenWithoutTime;
        let all = lines(LogFormat::Text, || tracing::error!(error, "cannot be read"));
        let fields = fields(all[0].split_once("cannot be read ").unwrap().1);
        let named =
            |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
        assert_eq!(named("error"), Some(error.to_string().as_str()));
        assert!(named("help").is_some_and(|help| help.contains("--source-kind change-stream")), "{all:?}");
    }

    #[test]
    fn a_help_inside_of_a_sentence_has_a_field_of_its_own() {
        let error = "mail is not granted. help: pass --grant mail";
        for format in [LogFormat::Text, LogFormat::Json] {
            let all = lines(format, || tracing::error!(event = "plugin.block", error, "waits"));
            assert!(!all[0].contains("help: "), "{all:?}");
        }
        let all = lines(LogFormat::Json, || tracing::error!(error, help = "or wait", "waits"));
        let line: Value = serde_json::from_str(&all[0]).unwrap();
        assert_eq!(line["error"], "mail is not granted");
        assert_eq!(line["help"], "pass --grant mail; or wait");
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
            let all = lines(LogFormat::Text, || tracing::info!(detail = value, user = 7));
            let (_, line) = all[0].split_once("tests: ").unwrap();
            let expected = [("detail".to_owned(), value.to_owned()), ("user".to_owned(), "7".to_owned())];
            assert_eq!(fields(line), expected, "{line}");
        }
    }

    #[test]
    fn a_line_break_in_a_value_does_not_break_the_line() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let all = lines(format, || tracing::info!(detail = "a\nb\u{1b}[2J", "c\nd"));
            assert_eq!(all.len(), 1, "{all:?}");
            assert!(!all[0].contains('\u{1b}'), "{all:?}");
        }
    }
}
