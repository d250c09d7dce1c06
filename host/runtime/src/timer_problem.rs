//! Why a timer that a plugin declares is not valid, in plain words.

use std::fmt;

use croner::parser::CronParser;

use super::remedy::PluginRemedy;
use super::setup::ComponentKind;
use super::timer::{MAX_NAME_BYTES, MAX_SCHEDULE_BYTES};

/// Why a timer is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimerProblem {
    /// The name is not valid.
    #[error("its name must have 1 to {MAX_NAME_BYTES} letters, digits, - and _")]
    Name,
    /// Another timer has the name.
    #[error("another timer of the plugin has the same name")]
    Duplicate,
    /// The interval is not a whole number of seconds.
    #[error("its interval {text} is not a whole number of seconds, at least 1")]
    Interval {
        /// The schedule.
        text: String,
    },
    /// The text is not a schedule.
    #[error(
        "its schedule \"{text}\" is neither an interval, such as 10m, nor a cron expression of minute, hour, day, month and weekday, such as \
         30 6 * * MON-FRI"
    )]
    Schedule {
        /// The text.
        text: String,
    },
    /// A field of the cron expression is not valid.
    #[error("the {field} of its cron expression \"{text}\" is {value}. {}", CronField::named(field))]
    Field {
        /// The expression.
        text: String,
        /// The name of the field.
        field: &'static str,
        /// The field.
        value: String,
    },
    /// The schedule has too many bytes.
    #[error("its schedule has {length} bytes, and at most {MAX_SCHEDULE_BYTES} are allowed")]
    Long {
        /// The number of bytes.
        length: usize,
    },
    /// No time fits the schedule.
    #[error("its schedule \"{text}\" is never due")]
    Never {
        /// The schedule.
        text: String,
    },
}

/// A field of a cron expression.
struct CronField {
    name: &'static str,
    range: &'static str,
}

/// The fields in their order. The second may be left out.
const FIELDS: [CronField; 6] = [
    CronField { name: "second", range: "numbers from 0 to 59" },
    CronField { name: "minute", range: "numbers from 0 to 59" },
    CronField { name: "hour", range: "numbers from 0 to 23" },
    CronField { name: "day", range: "numbers from 1 to 31" },
    CronField { name: "month", range: "numbers from 1 to 12 or names from JAN to DEC" },
    CronField { name: "weekday", range: "numbers from 0 to 7 or names from SUN to SAT" },
];

impl CronField {
    /// Returns what the field with this name can be.
    fn named(name: &str) -> String {
        let field = FIELDS.iter().find(|field| field.name == name);
        let range = field.map(|field| field.range).unwrap_or_default();
        format!("It can be * or {range}, such as 1, 1-5, 1,5 or */2")
    }
}

impl TimerProblem {
    /// Finds what is wrong with a text that is neither an interval nor a valid cron expression.
    pub(super) fn find(parser: CronParser, text: &str) -> Self {
        let values: Vec<_> = text.split_whitespace().collect();
        let fields = FIELDS.len().checked_sub(values.len()).and_then(|left_out| FIELDS.get(left_out..));
        let fields = fields.filter(|fields| fields.len() >= FIELDS.len() - 1).unwrap_or_default();
        // With any value in each other field.
        let is_valid = |index: usize, value: &str| {
            let others = (0..values.len()).map(|other| if other == index { value } else { "*" });
            parser.parse(&others.collect::<Vec<_>>().join(" ")).is_ok()
        };
        let mut all = fields.iter().zip(&values).enumerate();
        match all.find(|(index, (_, value))| !is_valid(*index, value)) {
            Some((_, (field, value))) => {
                Self::Field { text: text.to_owned(), field: field.name, value: (*value).to_owned() }
            }
            None => Self::Schedule { text: text.to_owned() },
        }
    }
}

/// A timer that is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedTimer {
    /// Its name.
    pub timer: String,
    /// Why it is not valid.
    pub reason: String,
    /// Where it comes from.
    pub origin: TimerOrigin,
}

/// Where a timer that is not valid comes from, and what the user can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimerOrigin {
    /// It is the value of a setting.
    Setting {
        /// The plugin.
        plugin: String,
        /// The name of the setting.
        name: String,
        /// Whether the plugin is another version of one that runs.
        is_for_successor: bool,
    },
    /// The plugin makes it, perhaps of these settings.
    Plugin {
        /// The names of its settings.
        settings: Vec<String>,
    },
}

/// Displays the end of a sentence.
impl fmt::Display for TimerOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { plugin, name, is_for_successor } => {
                // Filters have no timers.
                let (kind, component) = (ComponentKind::Plugin, plugin.as_str());
                let remedy = match is_for_successor {
                    true => PluginRemedy::NewSetting { kind, component, name },
                    false => PluginRemedy::Setting { kind, component, name },
                };
                write!(f, ". The setting {name} sets it{remedy}")
            }
            Self::Plugin { settings } if settings.is_empty() => {
                f.write_str(". help: correct the timer in the source of the plugin, and build it again")
            }
            Self::Plugin { settings } => write!(
                f,
                ". help: correct the setting that the timer is made of, if it is one of {}, or the source of the plugin",
                settings.join(", ")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::timer::Schedule;

    #[test]
    fn a_wrong_field_is_named() {
        let refused = |text| Schedule::parse(text).unwrap_err().to_string();
        for (text, field, value, range) in [
            ("61 * * * *", "minute", "61", "numbers from 0 to 59"),
            ("0 25 * * *", "hour", "25", "numbers from 0 to 23"),
            ("0 0 32 * *", "day", "32", "numbers from 1 to 31"),
            ("0 0 1 13 *", "month", "13", "numbers from 1 to 12 or names from JAN to DEC"),
            ("0 0 * * MOO", "weekday", "MOO", "numbers from 0 to 7 or names from SUN to SAT"),
            ("77 0 0 * * *", "second", "77", "numbers from 0 to 59"),
            ("*/0 * * * *", "minute", "*/0", "numbers from 0 to 59"),
            ("0 9-5 * * *", "hour", "9-5", "numbers from 0 to 23"),
        ] {
            let said = format!(
                "the {field} of its cron expression \"{text}\" is {value}. It can be * or {range}, such as 1, 1-5, 1,5 or */2"
            );
            assert_eq!(refused(text), said);
        }
    }
}
