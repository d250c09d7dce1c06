//! Wants every op but replacements, and does nothing with it: what a call costs, and no more.

use gtm_plugin::{Config, ConfigError, Op, Outcome, Plugin, plugin};

#[plugin]
struct Trivial;

impl Plugin for Trivial {
    fn new(_: Config) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn filter(&self, op: &Op) -> bool {
        !op.is_replace()
    }

    fn handle(&self, _: &Op) -> Outcome {
        Ok(())
    }
}
