//! Counts the changes in namespaces that have none.

use gtm_plugin::{Op, Outcome, Plugin, plugin};

#[plugin(namespace = ["others.*", "bench.*"])]
struct Tally;

impl Plugin for Tally {
    fn filter(op: &Op) -> bool {
        tally::filter(op)
    }

    fn handle(op: &Op) -> Outcome {
        tally::handle(op)
    }
}
