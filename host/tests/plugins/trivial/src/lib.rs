//! Wants every op but replacements, and does nothing with it: what a call costs, and no more.

use gtm_plugin::{Op, Outcome, Plugin, plugin};

#[plugin]
struct Trivial;

impl Plugin for Trivial {
    fn filter(op: &Op) -> bool {
        !op.is_replace()
    }

    fn handle(_: &Op) -> Outcome {
        Ok(())
    }
}
