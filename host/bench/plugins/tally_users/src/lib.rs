//! Counts the inserted users.

use gtm_plugin::{Config, ConfigError, Op, Outcome, Plugin, plugin};

#[plugin(namespace = ["users.users", "bench.*"])]
struct Tally;

impl Plugin for Tally {
    fn new(_: Config) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn filter(&self, op: &Op) -> bool {
        tally::filter(op)
    }

    fn handle(&self, op: &Op) -> Outcome {
        tally::handle(op)
    }
}
