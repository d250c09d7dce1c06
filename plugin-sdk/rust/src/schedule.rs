//! Work at set times: the timers of a plugin, and their ticks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::bindings::exports::gtm::plugin::schedule;
use crate::{Config, ConfigError, Outcome, export};

/// The times at which a plugin works, and what it does then. The attribute of a [`Plugin`](crate::Plugin) or a
/// [`BatchPlugin`](crate::BatchPlugin) adds it: `#[plugin(schedule)]`.
///
/// ```
/// use gtm_plugin::{Config, ConfigError, Outcome, Schedule, SchedulePlugin, Tick, Timer, log, plugin};
///
/// #[plugin(schedule_only)]
/// struct Morning;
///
/// impl SchedulePlugin for Morning {
///     fn new(_: Config) -> Result<Self, ConfigError> {
///         Ok(Self)
///     }
/// }
///
/// impl Schedule for Morning {
///     fn timers(&self) -> Vec<Timer> {
///         vec![Timer::new("morning", "30 6 * * MON-FRI")]
///     }
///
///     fn tick(&self, tick: &Tick) -> Outcome {
///         log::info!("{} is due", tick.timer());
///         Ok(())
///     }
/// }
/// ```
pub trait Schedule {
    /// Returns the timers, at most 16. The host calls it when it loads the plugin, after `new`. Capabilities that need a grant do not work in
    /// it.
    fn timers(&self) -> Vec<Timer>;

    /// Does the work of a tick, on one host of the pipeline. The next tick of the same timer waits until this one is done.
    ///
    /// # Errors
    /// As in [`Plugin::handle`](crate::Plugin::handle).
    fn tick(&self, tick: &Tick) -> Outcome;
}

/// A plugin that gets no ops and works at set times only. Its attribute says so: `#[plugin(schedule_only)]`.
pub trait SchedulePlugin: export::Registered + Schedule + Sized {
    /// As in [`Plugin::new`](crate::Plugin::new).
    ///
    /// # Errors
    /// As in [`Plugin::new`](crate::Plugin::new).
    fn new(config: Config) -> Result<Self, ConfigError>;
}

/// A timer of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    name: String,
    schedule: String,
    missed: MissedTicks,
}

/// What the host does with ticks that were due while it could not deliver them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTicks {
    /// It leaves them out.
    Skip,
    /// It delivers the last of them.
    #[default]
    Once,
    /// It delivers each of them in order, but of more than 100 the last 100.
    Each,
}

impl Timer {
    /// Makes a timer. Its name has 1 to 64 letters, digits, `-` and `_`. The schedule is an interval such as `10m`, which is due at each
    /// multiple of ten minutes since 1970, or a cron expression of five fields, or of six that begin with the second. It is in UTC.
    pub fn new(name: impl Into<String>, schedule: impl Into<String>) -> Self {
        Self { name: name.into(), schedule: schedule.into(), missed: MissedTicks::default() }
    }

    /// Sets what the host does with missed ticks. By default, it delivers the last of them.
    #[must_use]
    pub fn missed(mut self, missed: MissedTicks) -> Self {
        self.missed = missed;
        self
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the schedule.
    pub fn schedule(&self) -> &str {
        &self.schedule
    }
}

/// One time at which a timer is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tick {
    timer: String,
    at: u64,
    id: String,
    attempt: u32,
}

impl Tick {
    /// Makes the first attempt of a tick, for a test.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn new(timer: &str, at: SystemTime) -> Self {
        let at = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let id = format!("{}.0.tick-{timer}", at.as_secs());
        Self {
            timer: timer.to_owned(),
            at: u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
            id,
            attempt: 1,
        }
    }

    /// Returns the name of the timer.
    pub fn timer(&self) -> &str {
        &self.timer
    }

    /// Returns the time at which the timer is due. The host delivers the tick at this time or later.
    pub fn at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.at)
    }

    /// Returns the id, the same each time this tick is delivered, by any host: an idempotency key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the number of the attempt: 1, then 2, 3, …
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}

#[doc(hidden)]
impl From<Timer> for schedule::Timer {
    fn from(timer: Timer) -> Self {
        let Timer { name, schedule, missed } = timer;
        let missed = match missed {
            MissedTicks::Skip => schedule::MissedTicks::Skip,
            MissedTicks::Once => schedule::MissedTicks::Once,
            MissedTicks::Each => schedule::MissedTicks::Each,
        };
        Self { name, schedule, missed }
    }
}

#[doc(hidden)]
impl From<schedule::DueTick> for Tick {
    fn from(tick: schedule::DueTick) -> Self {
        let schedule::DueTick { timer, at, id, attempt } = tick;
        Self { timer, at, id, attempt }
    }
}
