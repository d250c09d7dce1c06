//! Counts the inserted users.

use gtm_plugin::{Op, Outcome, Plugin, plugin};

#[plugin(namespace = ["users.users", "bench.*"])]
struct Tally;

impl Plugin for Tally {
    fn filter(op: &Op) -> bool {
        tally::filter(op)
    }

    fn handle(op: &Op) -> Outcome {
        tally::handle(op)
    }
}
