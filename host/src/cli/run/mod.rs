//! `gtm-host --plugin …`: delivers changes to plugins until a signal stops it.

mod events;
mod filter_set;
mod hosted;
mod plugin_set;
mod reload;
mod watch;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use events::HostEvents;
use gtm_delivery::{
    CheckpointContext, DeliveryEnd, DeliveryError, HostControl, OwnsOp, PipelineChange, PluginDelivery,
    StopSignal, run_pipeline,
};
use gtm_host::admin::{Admin, AdminAddress, READY_GRACE, Serving};
use gtm_host::config::Settings;
use gtm_host::memory;
use gtm_host::remedy::WithRemedy;
use gtm_oplog::skip::skipped_by_name;
use gtm_oplog::{Selection, Skipped};
use gtm_runtime::{PluginHandle, Services};
use gtm_source::HistoryLost;
use gtm_store::{
    CheckpointKey, Group, Lease, LeaseHolder, LeaseKey, LeaseWait, Store, StoreError, StoreKind,
};
use gtm_text::sanitize::listed;
use mongodb::Client;
use plugin_set::{HostedPlugin, PluginSet, load, offer_grants};
use reload::FileSignatures;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::load::{Loader, reserve, services, with_store};
use super::server::{FollowedServer, client_for_plugins};
use super::store_help::dead_letter_help;
use super::{DEFAULT_SHUTDOWN_GRACE, DEFECT, preflight, resume, workers};

/// The least number of plugins for which the driver's pool has connections: plugins may be added while the host runs.
const MIN_READERS: usize = 15;
/// The time within which the pipeline must stop after the lease is lost.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the host. `read` reads the settings again.
pub(super) async fn run(
    settings: Settings,
    read: impl Fn() -> anyhow::Result<Settings>,
    shutdown: CancellationToken,
) -> anyhow::Result<ExitCode> {
    preflight::check(&settings)?;
    let control = HostControl::new(settings.name(), settings.workers.name.as_deref(), shutdown.clone());
    // First, so that a port in use is reported before anything else happens, and probes are answered from the start.
    let _serving = serve(&settings, &control)?;
    let mut events = HostEvents::listen(&settings, &read)?;
    let mut host = tokio::select! {
        host = ActiveHost::prepare(settings, control.clone()) => host?,
        () = shutdown.cancelled() => return Ok(ExitCode::SUCCESS),
    };
    events.watch(&host);
    control.watch_source(host.server.health());
    let _watching = host.server.watch();
    let _trimming = AbortOnDropHandle::new(tokio::spawn(trim_memory()));
    while !shutdown.is_cancelled() {
        host.work(&control, &mut events, &shutdown).await?;
    }
    let stopped = host.stopped();
    if stopped.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let stopped = stopped.into_iter().collect::<Vec<_>>().join(", ");
    tracing::error!(
        event = "host.stop_without_plugins",
        plugins = stopped,
        "these plugins did not run when the host stopped, for the errors above"
    );
    Ok(ExitCode::FAILURE)
}

/// Serves the admin API until the result is dropped.
fn serve(settings: &Settings, control: &HostControl) -> anyhow::Result<Vec<Serving>> {
    let mut all = Vec::new();
    match &settings.admin.listen {
        Some(AdminAddress::None) => {}
        Some(AdminAddress::Socket(path)) => all.push(Admin::at_path(path)?),
        listen => {
            if let Some(AdminAddress::Tcp(address)) = listen {
                all.push(Admin::at_address(address, settings.admin.token()?.as_deref())?);
            }
            match Admin::of_pipeline(settings.name()) {
                Ok(admin) => all.push(admin),
                // The user did not ask for this one, so the host runs without it.
                Err(error) => tracing::warn!(
                    event = "admin.listen_failed", %error,
                    "commands such as gtm-host status do not find this host"
                ),
            }
        }
    }
    let grace = settings.admin.ready_grace.unwrap_or(READY_GRACE);
    let serve = |admin: Admin| {
        let token_file = admin.token_file().map(|path| path.display().to_string());
        match (admin.local_addr(), admin.socket()) {
            (Some(address), _) => tracing::info!(
                event = "admin.listen",
                url = format!("http://{address}"),
                token_file,
                "the admin API listens"
            ),
            (None, Some(socket)) => {
                tracing::info!(event = "admin.listen", socket = %socket.display(), "the admin API listens")
            }
            (None, None) => {}
        }
        Ok(admin.serve(control.clone(), grace)?)
    };
    all.into_iter().map(serve).collect()
}

/// Returns free memory to the system from time to time.
async fn trim_memory() {
    loop {
        tokio::time::sleep(memory::TRIM_INTERVAL).await;
        // Nothing depends on the result.
        let _ = tokio::task::spawn_blocking(memory::trim).await;
    }
}

/// The parts of a host that is active or can become active.
struct ActiveHost {
    settings: Settings,
    plugins: PluginSet,
    server: FollowedServer,
    store: Store,
    group: Option<Arc<Group>>,
    /// The identity of this host in leases, for the life of the process.
    holder: LeaseHolder,
    /// The signatures of the plugin files when they were last loaded. None: the settings have changed since.
    loaded_files: Option<FileSignatures>,
    control: HostControl,
    /// The plugins that had failed or could not start when the pipeline last ended.
    stopped: Vec<String>,
}

/// The lease that a host needs before it may become active.
struct LeaseRequest {
    client: Client,
    key: LeaseKey,
    ttl: Duration,
    holder: LeaseHolder,
}

/// The pipeline of an active host.
struct ActivePipelines<'a> {
    control: &'a HostControl,
    changes: &'a mpsc::Sender<PipelineChange>,
    epoch: u64,
}

impl ActiveHost {
    async fn prepare(mut settings: Settings, control: HostControl) -> anyhow::Result<Self> {
        let loader = Loader::new(&settings)?;
        // Before the files are read, so that a later change is detected.
        let loaded_files = Some(FileSignatures::at(&settings));
        let mut loaded = load(&loader, &settings).await?;
        control.show_unloaded(&loaded.unloaded);
        offer_grants(&mut settings, &loader, &mut loaded).await?;
        let services = services(&settings).await?;
        // Plugins may be added while the host runs.
        let server = FollowedServer::find(&settings, loaded.plugins.len().max(MIN_READERS) + 1).await?;
        let kept = server.store(&settings).await?;
        let client = Some(client_for_plugins(&settings).await?);
        let services = Services { client, ..with_store(services, &settings, &kept) };
        let group = workers::group(&settings.workers, server.client()).await?.map(Arc::new);
        let plugins = PluginSet::new(loader, services, loaded, &settings);
        // A dry run handles nothing, so it must not store checkpoints.
        let store = if settings.dry_run { Store::none() } else { kept };
        Ok(Self {
            settings,
            plugins,
            server,
            store,
            group,
            holder: LeaseHolder::new(),
            loaded_files,
            control,
            stopped: Vec::new(),
        })
    }

    /// Returns the plugins that should run and do not.
    fn stopped(&self) -> BTreeSet<&str> {
        self.stopped.iter().chain(self.plugins.unloaded().keys()).map(String::as_str).collect()
    }

    fn worker(&self) -> Option<String> {
        self.group.as_ref().map(|group| group.name().to_owned())
    }

    /// Waits for the lease, and runs the pipeline until it stops or another host becomes active.
    async fn work(
        &mut self,
        control: &HostControl,
        events: &mut HostEvents<'_>,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<()> {
        self.stopped.clear();
        // One future each, so that neither restarts because of the other.
        let acquiring = acquire(self.lease_request(), control);
        let mut lease = tokio::select! {
            lease = acquiring => lease?,
            never = self.keep_up_to_date(events, None) => match never {},
            () = shutdown.cancelled() => return Ok(()),
        };
        let stop = StopSignal {
            shutdown: shutdown.child_token(),
            grace: self.settings.shutdown_grace.unwrap_or(DEFAULT_SHUTDOWN_GRACE),
            lease_lost: CancellationToken::new(),
        };
        let epoch = lease.as_ref().map_or(0, Lease::epoch);
        let (changes, mut changed) = mpsc::channel(16);
        let (deliveries, failed) = match self.deliveries(epoch).await {
            Ok(deliveries) => deliveries,
            Err(error) => {
                if let Some(lease) = lease {
                    lease.release().await;
                }
                return Err(error);
            }
        };
        let shared = self.server.follow(&self.settings, self.selection());
        let describe = |error: &DeliveryError| WithRemedy(error).to_string();
        let mut running = AbortOnDropHandle::new(tokio::spawn({
            let (control, stop) = (control.clone(), stop.clone());
            async move { run_pipeline(deliveries, shared, describe, &control, &stop, &mut changed).await }
        }));
        let active = ActivePipelines { control, changes: &changes, epoch };
        control.allow_swaps_from(self.plugins.swap_from(&self.settings));
        // During a reload, the pipeline and the lease are still watched.
        let keeping_up = async {
            for (plugin, error) in failed {
                active.stopped(plugin, &error).await;
            }
            self.keep_up_to_date(events, Some(&active)).await
        };
        let end = tokio::select! {
            end = &mut running => end.context(DEFECT)?.context(DEFECT)?,
            never = keeping_up => match never {},
            why = lease_lost(&mut lease) => {
                tracing::error!(event = "lease.lose", error = %why, "standing by: another host may work now");
                stop.lease_lost.cancel();
                stop.shutdown.cancel();
                if let Ok(Ok(Ok(end))) = tokio::time::timeout(STOP_TIMEOUT, running).await {
                    // An error shows again when this host becomes active again.
                    let _ = report_ends(end.ended);
                }
                control.stand_by();
                return Ok(());
            }
        };
        log_skipped(None, &end.skipped);
        let is_fenced = |ended: &DeliveryEnd| {
            matches!(ended.result, Err(DeliveryError::Store(StoreError::Fenced { .. })))
        };
        let fenced = end.ended.iter().any(is_fenced);
        let finished = report_ends(end.ended);
        if let Some(lease) = lease {
            lease.release().await;
        }
        if fenced && self.keeps_on_cluster() && !shutdown.is_cancelled() {
            tracing::error!(event = "lease.lose", "standing by: another host works now");
            // This host sees only after a while that the other one renews its lease.
            tokio::time::sleep(Duration::from_secs(1)).await;
            return Ok(());
        }
        if end.all_failed {
            finished?;
        }
        self.stopped = end.stopped;
        // The pipeline ended by itself, so the host ends.
        shutdown.cancel();
        Ok(())
    }

    /// Returns whether checkpoints are stored on the cluster. A dry run stores none.
    fn keeps_on_cluster(&self) -> bool {
        self.settings.store.kind == StoreKind::Mongodb && !self.settings.dry_run
    }

    /// Returns the lease that this host needs if hosts share the checkpoints on a cluster. A directory belongs to one host alone.
    fn lease_request(&self) -> Option<LeaseRequest> {
        self.keeps_on_cluster().then(|| LeaseRequest {
            client: self.server.client().clone(),
            key: LeaseKey { pipeline: self.settings.name().to_owned(), worker: self.worker() },
            ttl: self.settings.lease.ttl,
            holder: self.holder.clone(),
        })
    }

    /// Returns the selection of all plugins together.
    fn selection(&self) -> Selection {
        let mut all = Selection::default();
        self.plugins.all().for_each(|hosted| all.add_all(hosted.handle().current().selection()));
        all
    }

    /// Returns the delivery of each plugin, and the plugins that cannot start, with their errors.
    ///
    /// # Errors
    /// Fails if no plugin can start, or the store cannot be used.
    async fn deliveries(
        &self,
        epoch: u64,
    ) -> anyhow::Result<(Vec<PluginDelivery>, Vec<(PluginHandle, anyhow::Error)>)> {
        // A checkpoint may be a position in a change stream for all plugins together.
        self.server.watched().add(&self.selection());
        let (mut deliveries, mut failed) = (Vec::new(), Vec::new());
        for hosted in self.plugins.all() {
            match self.delivery(hosted, epoch).await {
                Ok(delivery) => deliveries.push(delivery),
                Err(error) if is_store_failure(&error) => return Err(error),
                Err(error) => failed.push((hosted.handle().clone(), error)),
            }
        }
        match failed.pop() {
            Some((_, error)) if deliveries.is_empty() => Err(error),
            last => {
                failed.extend(last);
                Ok((deliveries, failed))
            }
        }
    }

    /// Returns the delivery of a plugin, from its checkpoint on.
    async fn delivery(&self, hosted: &HostedPlugin, epoch: u64) -> anyhow::Result<PluginDelivery> {
        let Self { settings, server, store, group, .. } = self;
        let HostedPlugin { settings: own, reached, .. } = hosted;
        let handle = hosted.handle();
        reserve(handle, own, settings)?;
        let key = CheckpointKey {
            pipeline: settings.name().to_owned(),
            plugin: handle.name().to_owned(),
            worker: self.worker(),
        };
        let mut follow = server.follow(settings, handle.current().selection().clone());
        follow.snapshot = own.snapshot.unwrap_or(settings.source.snapshot);
        if follow.snapshot || settings.source.on_history_lost == HistoryLost::Snapshot {
            follow.progress = store.keeps().then(|| server.progress(store.progress(key.clone())));
        }
        let (deployment, group_of) = (server.deployment(), group.as_deref());
        let begun =
            resume::resume_point((settings, own), store, &key, &deployment, group_of, &mut follow).await?;
        if let (None, Some(position)) = (&begun.from, reached.position()) {
            follow.start = position.into();
        }
        let owns: OwnsOp = match group.clone() {
            Some(group) => Arc::new(move |op| group.owns(op)),
            None => Arc::new(|_| true),
        };
        let workers = group.as_ref().map(|group| group.names().to_vec());
        Ok(PluginDelivery {
            plugin: handle.clone(),
            source: server.describe(),
            config: follow,
            from: begun.from,
            policy: own.policy(settings.policy()),
            owns,
            store: store.clone(),
            key,
            checkpoint_context: CheckpointContext { deployment, workers, epoch, restarted: begun.restarted },
            reached: reached.clone(),
            letter_help: dead_letter_help(store, settings.name(), handle.name()),
        })
    }
}

/// Returns whether the store itself fails, and not only its data of one plugin.
fn is_store_failure(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<StoreError>()
        .is_some_and(|error| !matches!(error, StoreError::Damaged { .. } | StoreError::Newer { .. }))
}

/// Waits for the lease if one is requested.
async fn acquire(wanted: Option<LeaseRequest>, control: &HostControl) -> anyhow::Result<Option<Lease>> {
    let Some(LeaseRequest { client, key, ttl, holder }) = wanted else { return Ok(None) };
    let log_wait = |LeaseWait { holder, at_most }: LeaseWait<'_>| {
        control.stand_by();
        tracing::info!(
            event = "lease.standby",
            pipeline = key.pipeline,
            holder,
            ttl_ms = at_most.as_millis(),
            "standing by: another host works; this one takes over when the other has not renewed its lease for as long as it lives"
        );
    };
    Ok(Some(Lease::acquire(&client, &key, ttl, &holder, log_wait).await?))
}

/// Waits until the lease is lost, and returns why. Without a lease, it waits forever.
async fn lease_lost(lease: &mut Option<Lease>) -> String {
    match lease {
        Some(lease) => WithRemedy(&lease.lost().await).to_string(),
        None => std::future::pending().await,
    }
}

/// Logs how each delivery ended.
///
/// # Errors
/// Returns the first error of a delivery, with which the host ends if no plugin is left.
fn report_ends(all: Vec<DeliveryEnd>) -> anyhow::Result<()> {
    let mut failure = None;
    for DeliveryEnd { plugin, position, summary, skipped, result } in all {
        let unknown = (summary.unknown > 0).then_some(summary.unknown);
        if summary.unfinished == 0 {
            tracing::info!(
                event = "plugin.stop",
                plugin,
                position,
                read = summary.read,
                unwanted = summary.unwanted,
                handled = summary.handled,
                rejected = summary.rejected,
                failed = summary.failed,
                unknown,
                unfinished = summary.unfinished,
                retries = summary.retries,
                "stopped"
            );
        } else {
            tracing::warn!(
                event = "plugin.stop",
                plugin,
                position,
                read = summary.read,
                unwanted = summary.unwanted,
                handled = summary.handled,
                rejected = summary.rejected,
                failed = summary.failed,
                unknown,
                unfinished = summary.unfinished,
                retries = summary.retries,
                "stopped before all ops were done"
            );
        }
        log_skipped(Some(&plugin), &skipped);
        if let Err(error) = result {
            failure.get_or_insert(error);
        }
    }
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// Logs the entries that a reader skipped: the reader of a plugin, or the shared reader.
fn log_skipped(plugin: Option<&str>, skipped: &Skipped) {
    if !skipped.is_empty() {
        tracing::info!(
            event = "source.skip",
            plugin,
            skipped = listed(skipped_by_name(skipped)),
            "entries were skipped, or delivered in part"
        );
    }
}
