//! `gtm-host --plugin …`: brings changes to plugins until it is stopped.

mod events;
mod members;
mod watch;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use gtm_host::admin::{Admin, READY_GRACE};
use gtm_host::config::Settings;
use gtm_host::delivery::{
    Change, CheckpointLike, Control, Ended, Mine, Pipeline, PipelineError, Stop, run_all,
};
use gtm_host::lease::{Lease, LeaseKey};
use gtm_host::plugin::Services;
use gtm_host::selection::Selection;
use gtm_host::source::{HistoryLost, Skipped, skipped_by_name};
use gtm_host::store::{CheckpointKey, Store, StoreError, StoreKind};
use gtm_host::workers::Group;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::load::{Loader, load, services, with_store};
use super::server::{Server, client_for_plugins};
use super::{DEFECT, GRACE, going_on, listed, workers};
use events::{Event, Events, say_unchanged};
use members::{Member, Members};
use watch::{settled, signature};

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
    let control = Control::new(settings.name(), settings.workers.name.as_deref(), shutdown.clone());
    // A port in use is said before anything else is done, and probes are answered from the start.
    let _serving = match &settings.admin.listen {
        Some(address) => {
            let admin = Admin::bind(address, settings.admin.token()?.as_deref())?;
            tracing::info!("seen and steered at http://{}", admin.local_addr()?);
            Some(admin.serve(control.clone(), settings.admin.ready_grace.unwrap_or(READY_GRACE))?)
        }
        None => None,
    };
    let mut events = Events::listen(&settings, &read)?;
    let mut host = tokio::select! {
        host = Host::prepare(settings) => host?,
        () = shutdown.cancelled() => return Ok(ExitCode::SUCCESS),
    };
    events.watch(&host);
    control.watch_source(host.server.health());
    let _watching = host.server.watch();
    while !shutdown.is_cancelled() {
        host.work(&control, &mut events, &shutdown).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What runs, as long as it is this host's turn.
struct Host {
    settings: Settings,
    members: Members,
    server: Server,
    store: Store,
    group: Option<Arc<Group>>,
}

/// What is steered while it is this host's turn.
struct Turns<'a> {
    changes: &'a mpsc::Sender<Change>,
    epoch: u64,
}

impl Host {
    async fn prepare(settings: Settings) -> anyhow::Result<Self> {
        let loader = Loader::new(&settings)?;
        let plugins = load(&loader, &settings).await?;
        let services = services(&settings).await?;
        // More may come while it runs.
        let server = Server::find(&settings, plugins.len().max(READERS) + 1).await?;
        let kept = server.store(&settings).await?;
        let client = Some(client_for_plugins(&settings).await?);
        let services = Services { client, ..with_store(services, &settings, &kept) };
        let group = workers::group(&settings.workers, server.client()).await?.map(Arc::new);
        let members = Members::new(loader, services, plugins, &settings);
        // In a dry run nothing is handled, so nothing is done.
        let store = if settings.dry_run { Store::none() } else { kept };
        Ok(Self { settings, members, server, store, group })
    }

    fn worker(&self) -> Option<String> {
        self.group.as_ref().map(|group| group.name().to_owned())
    }

    /// Waits for this host's turn, and works until it is stopped, or another's turn has come.
    async fn work(
        &mut self,
        control: &Control,
        events: &mut Events<'_>,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<()> {
        let mut lease = loop {
            tokio::select! {
                lease = self.lease(control) => break lease?,
                event = events.next() => self.take_up(event, events, None).await?,
                () = shutdown.cancelled() => return Ok(()),
            }
        };
        let stop = Stop {
            shutdown: shutdown.child_token(),
            grace: self.settings.shutdown_grace.unwrap_or(GRACE),
            at_once: CancellationToken::new(),
        };
        let epoch = lease.as_ref().map_or(0, Lease::epoch);
        let (changes, mut changed) = mpsc::channel(16);
        let pipelines = self.pipelines(epoch).await?;
        let shared = self.server.follow(&self.settings, self.selection());
        let mut turn = AbortOnDropHandle::new(tokio::spawn({
            let (control, stop) = (control.clone(), stop.clone());
            async move { run_all(pipelines, shared, &control, &stop, &mut changed).await }
        }));
        // As long as something is taken up, the turn and the lease are still watched.
        let turns = Turns { changes: &changes, epoch };
        let taking_up = async {
            loop {
                let event = events.next().await;
                if let Err(error) = self.take_up(event, events, Some(&turns)).await {
                    return error;
                }
            }
        };
        let turn = tokio::select! {
            turn = &mut turn => turn.context(DEFECT)?.context(DEFECT)?,
            error = taking_up => return Err(error),
            why = lost(&mut lease) => {
                tracing::error!("standing by, as another host may work now: {why}");
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
        let is_fenced =
            |ended: &Ended| matches!(ended.result, Err(PipelineError::Store(StoreError::Fenced { .. })));
        let fenced = turn.ended.iter().any(is_fenced);
        let finished = finish(turn.ended);
        if let Some(lease) = lease {
            lease.release().await;
        }
        if fenced && self.keeps_on_cluster() && !shutdown.is_cancelled() {
            tracing::error!("standing by, as another host works now");
            // It renews its lease, which takes this one a while to see.
            tokio::time::sleep(Duration::from_secs(1)).await;
            return Ok(());
        }
        finished?;
        if turn.begin_anew {
            tracing::info!("all plugins begin anew, as the change stream has to watch something else");
            return Ok(());
        }
        // They ended by themselves, without an error: there is nothing left to do.
        shutdown.cancel();
        Ok(())
    }

    /// Makes the plugins what their files, and the settings, are by now. `turn`: while it is this host's.
    async fn take_up(
        &mut self,
        event: Event,
        events: &mut Events<'_>,
        turn: Option<&Turns<'_>>,
    ) -> anyhow::Result<()> {
        match event {
            Event::Files => {
                settled(|| {
                    let present = self.settings.present_plugins().unwrap_or_default();
                    present.into_values().map(|(path, _)| (signature(&path), path)).collect::<Vec<_>>()
                })
                .await;
            }
            Event::Settings(settings) => {
                tracing::info!("the settings were read anew");
                say_unchanged(&self.settings, &settings);
                self.settings.take_over_plugins(*settings);
            }
        }
        let steps = self.members.follow(&self.settings).await;
        events.watch(self);
        // Without a turn, they begin with the next.
        let Some(Turns { changes, epoch }) = turn else { return Ok(()) };
        for name in steps.end {
            let (told, ended) = oneshot::channel();
            // Where all are ending, this one is, too.
            if changes.send(Change::Remove(name, told)).await.is_ok()
                && let Ok(ended) = ended.await
            {
                finish(vec![ended])?;
            }
        }
        for name in steps.begin {
            let Some(member) = self.members.get(&name) else { continue };
            match self.pipeline(member, &self.selection(), *epoch).await {
                Ok(pipeline) => drop(changes.send(Change::Add(Box::new(pipeline))).await),
                Err(error) => {
                    tracing::error!(
                        plugin = name,
                        "not begun, until its file or the settings change again: {error:#}"
                    );
                    self.members.forget(&name);
                }
            }
        }
        Ok(())
    }

    /// In a dry run, nothing is kept.
    fn keeps_on_cluster(&self) -> bool {
        self.settings.store == StoreKind::Mongodb && !self.settings.dry_run
    }

    /// The right to work, where hosts share a cluster's checkpoints. A directory is one host's alone.
    async fn lease(&self, control: &Control) -> anyhow::Result<Option<Lease>> {
        if !self.keeps_on_cluster() {
            return Ok(None);
        }
        let key = LeaseKey { pipeline: self.settings.name().to_owned(), worker: self.worker() };
        let say = |holder: &str| {
            control.stand_by();
            tracing::info!("standing by: the pipeline {} is worked on by {holder}", key.pipeline);
        };
        Ok(Some(Lease::acquire(self.server.client(), &key, self.settings.lease.ttl, say).await?))
    }

    /// What all plugins want.
    fn selection(&self) -> Selection {
        let mut all = Selection::default();
        self.members.all().for_each(|member| all.add_all(member.slot.current().selection()));
        all
    }

    async fn pipelines(&self, epoch: u64) -> anyhow::Result<Vec<Pipeline>> {
        let all = self.selection();
        let mut pipelines = Vec::new();
        for member in self.members.all() {
            pipelines.push(self.pipeline(member, &all, epoch).await?);
        }
        Ok(pipelines)
    }

    /// What a plugin is to be brought, from its checkpoint on. `all`: what all plugins want.
    async fn pipeline(&self, member: &Member, all: &Selection, epoch: u64) -> anyhow::Result<Pipeline> {
        let Self { settings, server, store, group, .. } = self;
        let Member { slot, settings: own, .. } = member;
        let key = CheckpointKey {
            pipeline: settings.name().to_owned(),
            plugin: slot.name().to_owned(),
            worker: self.worker(),
        };
        let mut follow = server.follow(settings, slot.current().selection().clone());
        follow.watched = Some(all.clone());
        follow.snapshot = own.snapshot.unwrap_or(settings.source.snapshot);
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
            plugin: slot.clone(),
            source: server.describe(),
            follow,
            from,
            policy: own.policy(settings.policy()),
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
