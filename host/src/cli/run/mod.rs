//! `gtm-host --plugin …`: brings changes to plugins until it is stopped.

mod events;
mod members;
mod taking_up;
mod watch;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use events::HostEvents;
use gtm_delivery::{
    CheckpointLike, DeliveryEnd, DeliveryError, HostControl, OwnsOp, PipelineChange, PluginDelivery,
    StopSignal, run_all,
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
use members::{HostedPlugin, PluginSet, complete, load};
use mongodb::Client;
use taking_up::FileSignatures;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::load::{Loader, reserve, services, with_store};
use super::server::{FollowedServer, client_for_plugins};
use super::{DEFECT, GRACE, going_on, starting, workers};

/// Plugins for which there are connections to read by, at least.
const READERS: usize = 15;
/// How long, where the lease is lost, what is in work may take to notice.
const ENDING: Duration = Duration::from_secs(5);

/// `read` gives the settings as they are by now.
pub(super) async fn run(
    settings: Settings,
    read: impl Fn() -> anyhow::Result<Settings>,
    shutdown: CancellationToken,
) -> anyhow::Result<ExitCode> {
    starting::check(&settings)?;
    let control = HostControl::new(settings.name(), settings.workers.name.as_deref(), shutdown.clone());
    // A port in use is said before anything else is done, and probes are answered from the start.
    let _serving = serve(&settings, &control)?;
    let mut events = HostEvents::listen(&settings, &read)?;
    let mut host = tokio::select! {
        host = ActiveHost::prepare(settings) => host?,
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

/// Has the host be seen and steered, until what is returned is dropped.
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
                // Nobody has asked for it.
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
        // It ends by itself: nobody needs to know how.
        let _ = tokio::task::spawn_blocking(memory::trim).await;
    }
}

/// What runs, as long as it is this host's turn.
struct ActiveHost {
    settings: Settings,
    members: PluginSet,
    server: FollowedServer,
    store: Store,
    group: Option<Arc<Group>>,
    /// Who this host is, from its start to its end.
    holder: LeaseHolder,
    /// The files of the plugins as they were when all of them were last taken up. None: the settings are others since.
    looked: Option<FileSignatures>,
    /// The plugins that had failed, or could not begin, when the last turn ended.
    stopped: Vec<String>,
}

/// The lease that a host needs.
struct LeaseRequest {
    client: Client,
    key: LeaseKey,
    ttl: Duration,
    holder: LeaseHolder,
}

/// What is steered while it is this host's turn.
struct HostTurns<'a> {
    control: &'a HostControl,
    changes: &'a mpsc::Sender<PipelineChange>,
    epoch: u64,
}

impl ActiveHost {
    async fn prepare(mut settings: Settings) -> anyhow::Result<Self> {
        let loader = Loader::new(&settings)?;
        // Before they are read: what changes from now on is seen.
        let looked = Some(FileSignatures::at(&settings));
        let (mut plugins, unloaded) = load(&loader, &settings).await?;
        complete(&mut settings, &loader, &mut plugins).await?;
        let services = services(&settings).await?;
        // More may come while it runs.
        let server = FollowedServer::find(&settings, plugins.len().max(READERS) + 1).await?;
        let kept = server.store(&settings).await?;
        let client = Some(client_for_plugins(&settings).await?);
        let services = Services { client, ..with_store(services, &settings, &kept) };
        let group = workers::group(&settings.workers, server.client()).await?.map(Arc::new);
        let members = PluginSet::new(loader, services, (plugins, unloaded), &settings);
        // In a dry run nothing is handled, so nothing is done.
        let store = if settings.dry_run { Store::none() } else { kept };
        Ok(Self {
            settings,
            members,
            server,
            store,
            group,
            holder: LeaseHolder::new(),
            looked,
            stopped: Vec::new(),
        })
    }

    /// The plugins that should run, and do not.
    fn stopped(&self) -> BTreeSet<&str> {
        self.stopped.iter().map(String::as_str).chain(self.members.unloaded()).collect()
    }

    fn worker(&self) -> Option<String> {
        self.group.as_ref().map(|group| group.name().to_owned())
    }

    /// Waits for this host's turn, and works until it is stopped, or another's turn has come.
    async fn work(
        &mut self,
        control: &HostControl,
        events: &mut HostEvents<'_>,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<()> {
        self.stopped.clear();
        // One future each, from the beginning to the end: neither begins anew because of the other.
        let acquiring = acquire(self.wanted(), control);
        let mut lease = tokio::select! {
            lease = acquiring => lease?,
            never = self.keep_up(events, None) => match never {},
            () = shutdown.cancelled() => return Ok(()),
        };
        let stop = StopSignal {
            shutdown: shutdown.child_token(),
            grace: self.settings.shutdown_grace.unwrap_or(GRACE),
            at_once: CancellationToken::new(),
        };
        let epoch = lease.as_ref().map_or(0, Lease::epoch);
        let (changes, mut changed) = mpsc::channel(16);
        let (pipelines, unfit) = match self.pipelines(epoch).await {
            Ok(pipelines) => pipelines,
            Err(error) => {
                if let Some(lease) = lease {
                    lease.release().await;
                }
                return Err(error);
            }
        };
        let shared = self.server.follow(&self.settings, self.selection());
        let mut turn = AbortOnDropHandle::new(tokio::spawn({
            let (control, stop) = (control.clone(), stop.clone());
            async move { run_all(pipelines, shared, &control, &stop, &mut changed).await }
        }));
        let turns = HostTurns { control, changes: &changes, epoch };
        control.take_swaps_from(self.members.swap_from(&self.settings));
        // As long as something is taken up, the turn and the lease are still watched.
        let keeping_up = async {
            for (plugin, error) in unfit {
                turns.stopped(plugin, &error).await;
            }
            self.keep_up(events, Some(&turns)).await
        };
        let turn = tokio::select! {
            turn = &mut turn => turn.context(DEFECT)?.context(DEFECT)?,
            never = keeping_up => match never {},
            why = lost(&mut lease) => {
                tracing::error!(event = "lease.lose", error = %why, "standing by: another host may work now");
                stop.at_once.cancel();
                stop.shutdown.cancel();
                if let Ok(Ok(Ok(turn))) = tokio::time::timeout(ENDING, turn).await {
                    // What is wrong will be said when it is this host's turn again.
                    let _ = finish(turn.ended);
                }
                control.stand_by();
                return Ok(());
            }
        };
        say_skipped(None, &turn.skipped);
        let is_fenced = |ended: &DeliveryEnd| {
            matches!(ended.result, Err(DeliveryError::Store(StoreError::Fenced { .. })))
        };
        let fenced = turn.ended.iter().any(is_fenced);
        let finished = finish(turn.ended);
        if let Some(lease) = lease {
            lease.release().await;
        }
        if fenced && self.keeps_on_cluster() && !shutdown.is_cancelled() {
            tracing::error!(event = "lease.lose", "standing by: another host works now");
            // It renews its lease, which takes this one a while to see.
            tokio::time::sleep(Duration::from_secs(1)).await;
            return Ok(());
        }
        if turn.none_left {
            finished?;
        }
        self.stopped = turn.stopped;
        // They ended by themselves: there is nothing left to do.
        shutdown.cancel();
        Ok(())
    }

    /// In a dry run, nothing is kept.
    fn keeps_on_cluster(&self) -> bool {
        self.settings.store.kind == StoreKind::Mongodb && !self.settings.dry_run
    }

    /// The lease that this host needs to work, where hosts share a cluster's checkpoints. A directory is one host's alone.
    fn wanted(&self) -> Option<LeaseRequest> {
        self.keeps_on_cluster().then(|| LeaseRequest {
            client: self.server.client().clone(),
            key: LeaseKey { pipeline: self.settings.name().to_owned(), worker: self.worker() },
            ttl: self.settings.lease.ttl,
            holder: self.holder.clone(),
        })
    }

    /// What all plugins want.
    fn selection(&self) -> Selection {
        let mut all = Selection::default();
        self.members.all().for_each(|member| all.add_all(member.slot.current().selection()));
        all
    }

    /// What each plugin is to be brought; and the plugins for which that cannot be said, with the reason.
    ///
    /// # Errors
    /// It can be said for none of them, or the store cannot be used, which is not the fault of one.
    async fn pipelines(
        &self,
        epoch: u64,
    ) -> anyhow::Result<(Vec<PluginDelivery>, Vec<(PluginHandle, anyhow::Error)>)> {
        // Each plugin may have stopped where a stream of what all of them want was.
        self.server.watched().add(&self.selection());
        let (mut pipelines, mut unfit) = (Vec::new(), Vec::new());
        for member in self.members.all() {
            match self.pipeline(member, epoch).await {
                Ok(pipeline) => pipelines.push(pipeline),
                Err(error) if is_of_store(&error) => return Err(error),
                Err(error) => unfit.push((member.slot.clone(), error)),
            }
        }
        match unfit.pop() {
            Some((_, error)) if pipelines.is_empty() => Err(error),
            last => {
                unfit.extend(last);
                Ok((pipelines, unfit))
            }
        }
    }

    /// What a plugin is to be brought, from its checkpoint on.
    async fn pipeline(&self, member: &HostedPlugin, epoch: u64) -> anyhow::Result<PluginDelivery> {
        let Self { settings, server, store, group, .. } = self;
        let HostedPlugin { slot, settings: own, reached, .. } = member;
        reserve(slot, own, settings)?;
        let key = CheckpointKey {
            pipeline: settings.name().to_owned(),
            plugin: slot.name().to_owned(),
            worker: self.worker(),
        };
        let mut follow = server.follow(settings, slot.current().selection().clone());
        follow.snapshot = own.snapshot.unwrap_or(settings.source.snapshot);
        if follow.snapshot || settings.source.on_history_lost == HistoryLost::Snapshot {
            follow.progress = store.keeps().then(|| server.progress(store.progress(key.clone())));
        }
        let (deployment, group_of) = (server.deployment(), group.as_deref());
        let begun = going_on::begin((settings, own), store, &key, &deployment, group_of, &mut follow).await?;
        if let (None, Some(position)) = (&begun.from, reached.position()) {
            follow.start = position.into();
        }
        let mine: OwnsOp = match group.clone() {
            Some(group) => Arc::new(move |op| group.owns(op)),
            None => Arc::new(|_| true),
        };
        let workers = group.as_ref().map(|group| group.names().to_vec());
        Ok(PluginDelivery {
            plugin: slot.clone(),
            source: server.describe(),
            follow,
            from: begun.from,
            policy: own.policy(settings.policy()),
            mine,
            store: store.clone(),
            key,
            like: CheckpointLike { deployment, workers, epoch, restarted: begun.restarted },
            reached: reached.clone(),
        })
    }
}

/// Whether it is the store that fails, and not what it has of one plugin.
fn is_of_store(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<StoreError>()
        .is_some_and(|error| !matches!(error, StoreError::Damaged { .. } | StoreError::Newer { .. }))
}

/// Waits for the lease, where one is wanted.
async fn acquire(wanted: Option<LeaseRequest>, control: &HostControl) -> anyhow::Result<Option<Lease>> {
    let Some(LeaseRequest { client, key, ttl, holder }) = wanted else { return Ok(None) };
    let say = |LeaseWait { holder, at_most }: LeaseWait<'_>| {
        control.stand_by();
        tracing::info!(
            event = "lease.standby",
            pipeline = key.pipeline,
            holder,
            ttl_ms = at_most.as_millis(),
            "standing by: another host works; this one takes over when the other has not renewed its lease for as long as it lives"
        );
    };
    Ok(Some(Lease::acquire(&client, &key, ttl, &holder, say).await?))
}

/// Waits until the lease is lost, if there is one, and says why.
async fn lost(lease: &mut Option<Lease>) -> String {
    match lease {
        Some(lease) => WithRemedy(&lease.lost().await).to_string(),
        None => std::future::pending().await,
    }
}

/// Says what became of each plugin. Gives back the first failure, which is the host's where no plugin is left.
fn finish(all: Vec<DeliveryEnd>) -> anyhow::Result<()> {
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
        tracing::info!(
            event = "source.skip",
            plugin,
            skipped = listed(skipped_by_name(skipped)),
            "entries were skipped, or delivered in part"
        );
    }
}
