//! How ops are brought to plugins.

use std::time::Duration;

use clap::{Args, ValueEnum};
use gtm_delivery::Ordering;
use gtm_host::config::Settings;
use gtm_text::units::parse_time;

/// How ops are brought to plugins.
#[derive(Debug, Args)]
#[command(next_help_heading = "Delivery")]
pub(in crate::cli) struct DeliveryArguments {
    /// Which ops are handled one after another; others at the same time [default: document]
    #[arg(long, env = "GTM_ORDERING", value_name = "ORDER")]
    ordering: Option<OrderingArgument>,

    /// How many ops of a plugin are handled at the same time, each by an instance of its own [default: 4]
    #[arg(long, env = "GTM_LANES", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    lanes: Option<u16>,

    /// How often an op is tried in all [default: 8]
    #[arg(long, env = "GTM_MAX_ATTEMPTS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_attempts: Option<u32>,

    /// The pause before the second attempt; it doubles from there [default: 500ms]
    #[arg(long, env = "GTM_RETRY_DELAY", value_name = "TIME", value_parser = parse_time)]
    retry_delay: Option<Duration>,

    /// After a signal, how long ops that were read are still handled. A second signal, a second later or more, stops
    /// immediately [default: 30s]
    #[arg(long, env = "GTM_SHUTDOWN_GRACE", value_name = "TIME", value_parser = parse_time)]
    shutdown_grace: Option<Duration>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OrderingArgument {
    /// Those of one document; a command waits for all ops before it, and all after it wait for it
    Document,
    /// Those of one namespace
    Namespace,
    /// All
    Oplog,
    /// None
    None,
}

impl DeliveryArguments {
    pub(super) fn lay_over(&self, settings: &mut Settings) {
        let Settings { delivery, retry, shutdown_grace, .. } = settings;
        delivery.ordering = self.ordering.map_or(delivery.ordering, Ordering::from);
        delivery.lanes = self.lanes.map_or(delivery.lanes, usize::from);
        retry.max_attempts = self.max_attempts.unwrap_or(retry.max_attempts);
        retry.initial_delay = self.retry_delay.unwrap_or(retry.initial_delay);
        super::overlay(shutdown_grace, &self.shutdown_grace);
    }
}

impl From<OrderingArgument> for Ordering {
    fn from(order: OrderingArgument) -> Self {
        match order {
            OrderingArgument::Document => Self::Document,
            OrderingArgument::Namespace => Self::Namespace,
            OrderingArgument::Oplog => Self::Oplog,
            OrderingArgument::None => Self::None,
        }
    }
}
