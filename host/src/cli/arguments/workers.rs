//! Which part of the work is this host's, and when it is.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use gtm_host::config::{Settings, WorkerSettings};
use gtm_store::ListDocument;
use gtm_store::lease::parse_ttl;

use super::{Typed, overlay};

/// Which part of the work is this host's, and when it is.
#[derive(Debug, Args)]
#[command(next_help_heading = "More than one host")]
pub(in crate::cli) struct WorkerArguments {
    /// Share the work with other hosts: the name of this one, which is in the list of all workers. Each document is one
    /// worker's
    #[arg(long, env = "GTM_WORKER", value_name = "NAME")]
    worker: Option<String>,

    /// The list of all workers, the same for each: a file like {"workers": ["Tom", "Dick"]}, or .toml
    #[arg(long, env = "GTM_WORKERS", value_name = "FILE")]
    workers: Option<PathBuf>,

    /// The list of all workers, in a document on the cluster: {_id: ID, workers: ["Tom", "Dick"]}
    #[arg(long, env = "GTM_WORKERS_FROM", value_name = "DB.COLL/ID")]
    workers_from: Option<ListDocument>,

    /// Of two hosts with the same name, how long one that stands by waits without a sign of life before it takes over
    /// [default: 10s]
    #[arg(long, env = "GTM_LEASE_TTL", value_name = "TIME", value_parser = parse_ttl)]
    lease_ttl: Option<Duration>,
}

impl WorkerArguments {
    /// A list that was typed goes before one of the environment.
    pub(super) fn prefer_typed(&mut self, typed: Typed<'_>) {
        match (typed("workers"), typed("workers_from")) {
            (true, false) => self.workers_from = None,
            (false, true) => self.workers = None,
            _ => {}
        }
    }

    pub(super) fn lay_over(&self, settings: &mut Settings) -> anyhow::Result<()> {
        let WorkerSettings { name, file, from } = &mut settings.workers;
        // A list that is named here goes before one in the settings file.
        if self.workers.is_some() || self.workers_from.is_some() {
            (*file, *from) = (None, None);
        }
        overlay(name, &self.worker);
        overlay(file, &self.workers);
        overlay(from, &self.workers_from);
        settings.lease.ttl = self.lease_ttl.unwrap_or(settings.lease.ttl);
        match (name, file, from) {
            (Some(name), None, None) => {
                bail!(
                    "worker {name} has no list of all workers: name one by --workers FILE or --workers-from DB.COLL/ID"
                )
            }
            (_, Some(_), Some(_)) => {
                bail!("there are two lists of workers: say one of --workers and --workers-from")
            }
            (None, Some(_), None) | (None, None, Some(_)) => {
                bail!("there is a list of workers: say by --worker NAME which of them this host is")
            }
            _ => Ok(()),
        }
    }
}
