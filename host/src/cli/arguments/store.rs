//! What is kept for after a restart, and where.

use clap::Args;
use gtm_host::config::Settings;
use gtm_store::StoreKind;

use super::overlay;

/// What is kept for after a restart, and where.
#[derive(Debug, Args)]
#[command(next_help_heading = "Store")]
pub(in crate::cli) struct StoreArguments {
    /// The name of the pipeline: hosts with the same name share checkpoints and dead letters
    /// [default: gtm-host]
    #[arg(long, env = "GTM_NAME", value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: Option<String>,

    /// Where checkpoints, dead letters and the progress of snapshots are kept: mongodb (the database
    /// of the cluster that --store-database names), file:DIR (a directory of one host alone), or none [default: mongodb]
    #[arg(long, env = "GTM_STORE", value_name = "STORE")]
    store: Option<StoreKind>,
}

impl StoreArguments {
    pub(super) fn lay_over(&self, settings: &mut Settings) {
        overlay(&mut settings.name, &self.name);
        if let Some(store) = &self.store {
            settings.store.kind.clone_from(store);
        }
    }
}
