//! The timers of a plugin, and the times at which they are due.

use std::cmp::Ordering;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Year};
use croner::time::{CivilDate, CivilDateTime, CivilTime, CronDateTime, Resolution, Weekday};
use time::{Date, Month, OffsetDateTime, Time};

/// The maximum number of timers of a plugin.
pub(super) const MAX_TIMERS: usize = 16;
/// The maximum length of a timer's name, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// The maximum length of a schedule, in bytes.
const MAX_SCHEDULE_BYTES: usize = 256;

/// A timer of a plugin.
#[derive(Clone, Debug)]
pub struct Timer {
    /// Its name, which is a valid part of an op's id.
    pub name: String,
    /// When it is due.
    pub schedule: Schedule,
    /// What happens to ticks that no host could deliver at their time.
    pub missed: MissedTicks,
}

/// What happens to ticks that no host could deliver at their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissedTicks {
    /// They are left out.
    Skip,
    /// The last one is delivered.
    Once,
    /// Each is delivered, up to a maximum.
    Each,
}

impl MissedTicks {
    /// Returns its name, as in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Once => "once",
            Self::Each => "each",
        }
    }
}

/// When a timer is due, in UTC. Times are in seconds since 1970.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: String,
    times: ScheduledTimes,
}

#[derive(Clone, Debug)]
enum ScheduledTimes {
    /// At each multiple of so many seconds.
    Every(u32),
    Cron(Box<Cron>),
}

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
    #[error("its schedule \"{text}\" is neither an interval, such as 10m, nor a cron expression: {reason}")]
    Schedule {
        /// The text.
        text: String,
        /// Why it is not a cron expression.
        reason: String,
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

impl Timer {
    /// Makes a timer as a plugin declares it.
    ///
    /// # Errors
    /// The name or the schedule is not valid.
    pub fn new(name: String, schedule: &str, missed: MissedTicks) -> Result<Self, TimerProblem> {
        let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !(1..=MAX_NAME_BYTES).contains(&name.len()) || !name.bytes().all(is_valid) {
            return Err(TimerProblem::Name);
        }
        Ok(Self { name, schedule: Schedule::parse(schedule)?, missed })
    }
}

impl Schedule {
    /// Parses an interval or a cron expression.
    ///
    /// # Errors
    /// The text is neither, or never due.
    pub fn parse(text: &str) -> Result<Self, TimerProblem> {
        let text = text.trim();
        if text.len() > MAX_SCHEDULE_BYTES {
            return Err(TimerProblem::Long { length: text.len() });
        }
        let times = match humantime::parse_duration(text) {
            Ok(interval) => ScheduledTimes::Every(
                whole_seconds(interval).ok_or_else(|| TimerProblem::Interval { text: text.to_owned() })?,
            ),
            Err(_) => {
                let parser = CronParser::builder().year(Year::Disallowed).build();
                let cron = parser.parse(text).map_err(|error| TimerProblem::Schedule {
                    text: text.to_owned(),
                    reason: error.to_string().trim_end_matches('.').to_owned(),
                })?;
                ScheduledTimes::Cron(Box::new(cron))
            }
        };
        let schedule = Self { text: text.to_owned(), times };
        let is_due = schedule.after(seconds(SystemTime::now())).is_some();
        if is_due { Ok(schedule) } else { Err(TimerProblem::Never { text: text.to_owned() }) }
    }

    /// Returns its text, without spaces at the ends.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the first time after this one at which it is due. None: there is none that a timestamp can hold.
    pub fn after(&self, second: u32) -> Option<u32> {
        match &self.times {
            ScheduledTimes::Every(interval) => (second / interval).checked_add(1)?.checked_mul(*interval),
            ScheduledTimes::Cron(cron) => {
                let found = cron.find_next_occurrence(&UtcTime::new(second)?, false).ok()?;
                found.second()
            }
        }
    }

    /// Returns the last time at which it was due, up to and including this one. None: there is none since 1970.
    pub fn through(&self, second: u32) -> Option<u32> {
        match &self.times {
            ScheduledTimes::Every(interval) => Some(second - second % interval),
            ScheduledTimes::Cron(cron) => {
                let found = cron.find_previous_occurrence(&UtcTime::new(second)?, true).ok()?;
                found.second()
            }
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Returns an interval of whole seconds.
fn whole_seconds(interval: Duration) -> Option<u32> {
    let seconds = u32::try_from(interval.as_secs()).ok()?;
    (seconds > 0 && interval.subsec_nanos() == 0).then_some(seconds)
}

/// Returns the seconds of a time since 1970.
pub fn seconds(time: SystemTime) -> u32 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

/// A time in UTC, for croner.
#[derive(Clone, Copy, Debug)]
struct UtcTime(OffsetDateTime);

impl UtcTime {
    fn new(second: u32) -> Option<Self> {
        OffsetDateTime::from_unix_timestamp(second.into()).ok().map(Self)
    }

    fn second(self) -> Option<u32> {
        u32::try_from(self.0.unix_timestamp()).ok()
    }
}

impl CronDateTime for UtcTime {
    fn to_civil(&self) -> CivilDateTime {
        let Self(at) = self;
        CivilDateTime::new(
            CivilDate::from_parts_unchecked(at.year(), u8::from(at.month()).into(), at.day().into()),
            CivilTime::from_parts_unchecked(at.hour().into(), at.minute().into(), at.second().into()),
        )
    }

    fn civil_weekday(&self) -> Weekday {
        Weekday::from_days_from_sunday(self.0.weekday().number_days_from_sunday().into())
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let part = |value: u32| u8::try_from(value).map_err(|_| CronError::InvalidDate);
        let month = Month::try_from(part(civil.month())?).map_err(|_| CronError::InvalidDate)?;
        let date = Date::from_calendar_date(civil.year(), month, part(civil.day())?);
        let time = Time::from_hms(part(civil.hour())?, part(civil.minute())?, part(civil.second())?);
        let (date, time) =
            (date.map_err(|_| CronError::InvalidDate)?, time.map_err(|_| CronError::InvalidTime)?);
        Ok(Resolution::Single(Self(date.with_time(time).assume_utc())))
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        self.0.checked_add(time::Duration::seconds(seconds)).map(Self)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-31 12:00:00 UTC, a Saturday.
    const NOON: u32 = 1_769_860_800;

    fn schedule(text: &str) -> Schedule {
        Schedule::parse(text).unwrap()
    }

    #[test]
    fn an_interval_is_due_at_its_multiples() {
        let every = schedule("10m");
        assert_eq!((every.after(NOON), every.after(NOON + 599)), (Some(NOON + 600), Some(NOON + 600)));
        assert_eq!((every.through(NOON), every.through(NOON + 599)), (Some(NOON), Some(NOON)));
        assert_eq!(schedule("1h 30m").after(0), Some(5400));
        assert_eq!(every.after(u32::MAX), None);
    }

    #[test]
    fn a_cron_expression_is_due_in_utc() {
        let weekdays = schedule("30 6 * * MON-FRI");
        let monday = NOON + 2 * 86_400 - 12 * 3600 + 6 * 3600 + 30 * 60;
        assert_eq!(weekdays.after(NOON), Some(monday));
        assert_eq!(weekdays.after(monday), Some(monday + 86_400));
        assert_eq!(weekdays.through(monday), Some(monday));
        assert_eq!(weekdays.through(monday - 1), Some(monday - 3 * 86_400));
        assert_eq!(schedule("*/5 * * * * *").after(NOON), Some(NOON + 5));
        assert_eq!(schedule("@daily").after(NOON), Some(NOON + 12 * 3600));
        assert_eq!(schedule("0 0 29 2 *").after(NOON), Some(1_835_395_200));
    }

    #[test]
    fn a_schedule_that_is_not_valid_is_refused() {
        let refused = |text| Schedule::parse(text).unwrap_err().to_string();
        for text in ["", "often", "* * *", "61 * * * *", "0 0 1 1 * 2030 5", "* * * * * * 2030"] {
            assert!(
                refused(text).contains("neither an interval, such as 10m, nor a cron expression: "),
                "{text}"
            );
        }
        for text in ["500ms", "0s", "1s 1ms", "9999999years"] {
            assert!(refused(text).contains("is not a whole number of seconds"), "{text}: {}", refused(text));
        }
        assert!(refused("0 0 30 2 *").ends_with("is never due"), "{}", refused("0 0 30 2 *"));
        assert!(refused(&"1,".repeat(1000)).ends_with("at most 256 are allowed"));
        let named = |name: &str| Timer::new(name.to_owned(), "1s", MissedTicks::Skip).map(drop);
        assert_eq!(
            (named("a-Z_9"), named(""), named("a b"), named("a.b")),
            (Ok(()), Err(TimerProblem::Name), Err(TimerProblem::Name), Err(TimerProblem::Name))
        );
    }
}
