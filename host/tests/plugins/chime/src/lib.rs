//! Records the ticks of its timers in a collection, one document for each attempt, and returns the outcome that its config says.
#![allow(clippy::panic, reason = "that is its purpose")]

use gtm_plugin::bson::{DateTime, doc};
use gtm_plugin::mongodb::Collection;
use gtm_plugin::{
    Config, ConfigError, Failure, MissedTicks, Outcome, Schedule, SchedulePlugin, Tick, Timer, plugin,
};

#[plugin(schedule_only)]
struct Chime {
    config: Config,
}

impl SchedulePlugin for Chime {
    fn new(config: Config) -> Result<Self, ConfigError> {
        Ok(Self { config })
    }
}

impl Schedule for Chime {
    fn timers(&self) -> Vec<Timer> {
        let missed = match self.config.get("missed") {
            Some("skip") => MissedTicks::Skip,
            Some("each") => MissedTicks::Each,
            _ => MissedTicks::Once,
        };
        let name = self.config.get("timer").unwrap_or("chime");
        let schedule = self.config.get("schedule").unwrap_or("1s");
        name.split(',').map(|name| Timer::new(name, schedule).missed(missed)).collect()
    }

    fn tick(&self, tick: &Tick) -> Outcome {
        if let Some(collection) = self.config.get("collection") {
            let at = DateTime::from_system_time(tick.at());
            let attempt = i64::from(tick.attempt());
            let document = doc! { "timer": tick.timer(), "at": at, "id": tick.id(), "attempt": attempt };
            Collection::new(collection).insert_one(&document)?;
        }
        match self.config.get("outcome") {
            Some("panic-once") if tick.attempt() == 1 => panic!("only once"),
            Some("retry") => Err(Failure::retry("not now")),
            Some("reject") => Err(Failure::reject("not this one")),
            Some("sleep") => {
                std::thread::sleep(std::time::Duration::from_secs(3600));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
