//! What delivery promises: nothing lost, nothing out of order, and what is done is not done again.

mod crashes;
mod isolation;
mod keeping;
mod ledger;
mod starts;
mod stopped;
mod storm;
mod takeover;
mod trouble;
mod workers;
