//! `gtm-host --plugin …`: brings changes to plugins until it is stopped.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use gtm_host::admin::Admin;
use gtm_host::config::Settings;
use gtm_host::delivery::{
    CheckpointLike, Control, Ended, Mine, Pipeline, PipelineError, Policy, Stop, run_all,
};
use gtm_host::lease::{Lease, LeaseKey};
use gtm_host::plugin::Plugin;
use gtm_host::source::{HistoryLost, Selection, Skipped, skipped_by_name};
use gtm_host::store::{CheckpointKey, Store, StoreError, StoreKind};
use gtm_host::workers::Group;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::load::load;
use super::server::Server;
use super::{DEFECT, GRACE, going_on, listed, workers};

/// How long, where the lease is lost, what is in work may take to notice.
const ENDING: Duration = Duration::from_secs(5);

pub(super) async fn run(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<ExitCode> {
    let control = Control::new(settings.name(), settings.workers.name.as_deref(), shutdown.clone());
    // A port in use is said before anything else is done, and probes are answered from the start.
    let _serving = match &settings.admin.listen {
        Some(address) => {
            let admin = Admin::bind(address, settings.admin.token()?.as_deref()).await?;
            tracing::info!("seen and steered at http://{}", admin.local_addr()?);
            Some(AbortOnDropHandle::new(tokio::spawn(admin.serve(control.clone()))))
        }
        None => None,
    };
    let host = tokio::select! {
        host = Host::prepare(&settings) => host?,
        () = shutdown.cancelled() => return Ok(ExitCode::SUCCESS),
    };
    while !shutdown.is_cancelled() {
        host.work(&control, &shutdown).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What runs, as long as it is this host's turn.
struct Host<'a> {
    settings: &'a Settings,
    plugins: Vec<(Plugin, Selection)>,
    server: Server,
    store: Store,
    group: Option<Arc<Group>>,
}

impl<'a> Host<'a> {
    async fn prepare(settings: &'a Settings) -> anyhow::Result<Self> {
        let plugins = load(settings).await?;
        let server = Server::find(settings, plugins.len() + 1).await?;
        let store = server.store(settings).await?;
        let group = workers::group(&settings.workers, server.client()).await?.map(Arc::new);
        Ok(Self { settings, plugins, server, store, group })
    }

    fn worker(&self) -> Option<String> {
        self.group.as_ref().map(|group| group.name().to_owned())
    }

    /// Waits for this host's turn, and works until it is stopped, or another's turn has come.
    async fn work(&self, control: &Control, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let mut lease = tokio::select! {
            lease = self.lease(control) => lease?,
            () = shutdown.cancelled() => return Ok(()),
        };
        let stop = Stop {
            shutdown: shutdown.child_token(),
            grace: self.settings.shutdown_grace.unwrap_or(GRACE),
            at_once: CancellationToken::new(),
        };
        let epoch = lease.as_ref().map_or(0, Lease::epoch);
        let mut work = std::pin::pin!(self.turn(control, epoch, &stop));
        let ended = tokio::select! {
            ended = &mut work => ended?,
            why = lost(&mut lease) => {
                tracing::error!("standing by, as another host may work now: {why}");
                stop.at_once.cancel();
                stop.shutdown.cancel();
                if let Ok(Ok(ended)) = tokio::time::timeout(ENDING, work).await {
                    // What is wrong will be said when it is this host's turn again.
                    let _ = finish(ended);
                }
                control.stand_by();
                return Ok(());
            }
        };
        let fenced = ended
            .iter()
            .any(|ended| matches!(ended.result, Err(PipelineError::Store(StoreError::Fenced { .. }))));
        let finished = finish(ended);
        if let Some(lease) = lease {
            lease.release().await;
        }
        if fenced && self.settings.store == StoreKind::Mongodb && !shutdown.is_cancelled() {
            tracing::error!("standing by, as another host works now");
            // It renews its lease, which takes this one a while to see.
            tokio::time::sleep(Duration::from_secs(1)).await;
            return Ok(());
        }
        finished?;
        // They ended by themselves, without an error: there is nothing left to do.
        shutdown.cancel();
        Ok(())
    }

    /// The right to work, where hosts share a cluster's checkpoints. A directory is one host's alone.
    async fn lease(&self, control: &Control) -> anyhow::Result<Option<Lease>> {
        if self.settings.store != StoreKind::Mongodb {
            return Ok(None);
        }
        let key = LeaseKey { pipeline: self.settings.name().to_owned(), worker: self.worker() };
        let say = |holder: &str| {
            control.stand_by();
            tracing::info!("standing by: the pipeline {} is worked on by {holder}", key.pipeline);
        };
        Ok(Some(Lease::acquire(self.server.client(), &key, self.settings.lease.ttl, say).await?))
    }

    async fn turn(&self, control: &Control, epoch: u64, stop: &Stop) -> anyhow::Result<Vec<Ended>> {
        let mut all = Selection::default();
        self.plugins.iter().for_each(|(_, selection)| all.add_all(selection));
        let mut pipelines = Vec::new();
        for (plugin, selection) in &self.plugins {
            pipelines.push(self.pipeline(plugin, selection, &all, epoch).await?);
        }
        let shared = self.server.follow(self.settings, all);
        let (ended, skipped) = run_all(pipelines, shared, control, stop).await.context(DEFECT)?;
        say_skipped(None, &skipped);
        Ok(ended)
    }

    /// What a plugin is to be brought, from its checkpoint on. `all`: what all plugins want.
    async fn pipeline(
        &self,
        plugin: &Plugin,
        selection: &Selection,
        all: &Selection,
        epoch: u64,
    ) -> anyhow::Result<Pipeline> {
        let Self { settings, server, store, group, .. } = self;
        let own = settings.plugins.get(plugin.name());
        let mut policy =
            Policy { delivery: settings.delivery, retry: settings.retry, breaker: settings.breaker };
        policy.delivery.ordering = own.and_then(|own| own.ordering).unwrap_or(policy.delivery.ordering);
        policy.delivery.lanes = own.and_then(|own| own.lanes).unwrap_or(policy.delivery.lanes);
        let key = CheckpointKey {
            pipeline: settings.name().to_owned(),
            plugin: plugin.name().to_owned(),
            worker: self.worker(),
        };
        let mut follow = server.follow(settings, selection.clone());
        follow.watched = Some(all.clone());
        follow.snapshot = own.and_then(|own| own.snapshot).unwrap_or(settings.source.snapshot);
        if follow.snapshot || settings.source.on_history_lost == HistoryLost::Snapshot {
            follow.progress = store.keeps().then(|| server.progress(store.progress(key.clone())));
        }
        let from = going_on::position(store, &key, &server.deployment(), group.as_deref()).await?;
        if let Some(from) = &from {
            follow.start = from.clone().into();
        }
        let mine: Mine = match group.clone() {
            Some(group) => Arc::new(move |op| group.is_mine(op)),
            None => Arc::new(|_| true),
        };
        let workers = group.as_ref().map(|group| group.names().to_vec());
        Ok(Pipeline {
            plugin: plugin.clone(),
            source: server.describe(),
            follow,
            from,
            policy,
            mine,
            store: store.clone(),
            key,
            like: CheckpointLike { deployment: server.deployment(), workers, epoch },
        })
    }
}

/// Waits until the lease is lost, if there is one, and says why.
async fn lost(lease: &mut Option<Lease>) -> String {
    match lease {
        Some(lease) => lease.lost().await.to_string(),
        None => std::future::pending().await,
    }
}

/// Says what became of each plugin. The first failure is the host's.
fn finish(all: Vec<Ended>) -> anyhow::Result<()> {
    let mut failure = None;
    for Ended { plugin, position, summary, skipped, result } in all {
        let stopped = match position {
            Some(position) => format!("stopped at {position}: {summary}"),
            None => format!("stopped: {summary}"),
        };
        if summary.unfinished == 0 {
            tracing::info!(plugin, "{stopped}");
        } else {
            tracing::warn!(plugin, "{stopped}");
        }
        say_skipped(Some(&plugin), &skipped);
        if let Err(error) = result {
            failure.get_or_insert(error);
        }
    }
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// Says what a reader skipped: that of a plugin, or the one that all share.
fn say_skipped(plugin: Option<&str>, skipped: &Skipped) {
    if !skipped.is_empty() {
        tracing::info!(plugin, "passed over, or delivered in part: {}", listed(skipped_by_name(skipped)));
    }
}
