//! `gtm-host --plugin …`: brings changes to plugins until it is stopped.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use gtm_host::config::{Mail, Settings, secret};
use gtm_host::delivery::{Ended, Pipeline};
use gtm_host::plugin::{Engine, Limits, Mailer, Plugin};
use gtm_host::source::oplog::Tail;
use gtm_host::source::{Selection, connect};
use mongodb::Namespace;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::signals;

const URI: &str = "mongodb://localhost:27017";
const OPLOG: &str = "local.oplog.rs";
const DEFECT: &str = "gtm-host has a defect, please report it";
/// Long enough for a handle that is in the middle of its work, which by default may take as long.
const GRACE: Duration = Duration::from_secs(30);

pub(super) async fn run(settings: Settings) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    signals::listen(shutdown.clone()).context("signals cannot be listened for")?;
    let pipelines = tokio::select! {
        pipelines = start(&settings) => pipelines?,
        () = shutdown.cancelled() => return Ok(()),
    };
    let grace = settings.shutdown_grace.unwrap_or(GRACE);
    let mut running = JoinSet::new();
    for pipeline in pipelines {
        running.spawn(pipeline.run(shutdown.clone(), grace));
    }
    finish(running, &shutdown).await
}

async fn start(settings: &Settings) -> anyhow::Result<Vec<Pipeline>> {
    let plugins = load(settings).await?;
    let oplog = oplog(settings.source.oplog.as_deref().unwrap_or(OPLOG))?;
    let uri = secret(settings.source.uri.as_deref(), settings.source.uri_file.as_deref())?;
    let uri = uri.as_deref().unwrap_or(URI);
    // Each plugin has a cursor that waits, and a look-up now and then.
    let connections = u32::try_from(2 * plugins.len())?;
    let (client, deployment) = connect::connect(uri, &oplog, connections).await?;
    let mut pipelines = Vec::new();
    for plugin in plugins {
        let tail =
            Tail::open(&client, &oplog, &deployment, selection(&plugin)?, settings.source.start).await?;
        tracing::info!(
            plugin = plugin.name(),
            "tailing {oplog} of the replica set {}, from {} on",
            deployment.replica_set,
            tail.position()
        );
        pipelines.push(Pipeline::new(plugin, tail, settings.retry));
    }
    Ok(pipelines)
}

/// Waits for all pipelines. When one fails, the others are stopped: a host that goes on without one
/// of its plugins would look well and lose changes.
async fn finish(mut pipelines: JoinSet<Ended>, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let mut failure = None;
    while let Some(ended) = pipelines.join_next().await {
        let Ended { plugin, position, summary, skipped, result } = ended.context(DEFECT)?;
        if summary.unfinished == 0 {
            tracing::info!(plugin, "stopped at {position}: {summary}");
        } else {
            tracing::warn!(plugin, "stopped at {position}: {summary}");
        }
        if !skipped.is_empty() {
            let skipped: Vec<_> =
                skipped.iter().map(|(skip, count)| format!("{count} {}", skip.name())).collect();
            tracing::info!(plugin, "passed over, or delivered in part: {}", skipped.join(", "));
        }
        if let Err(error) = result {
            shutdown.cancel();
            failure.get_or_insert(error);
        }
    }
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

async fn load(settings: &Settings) -> anyhow::Result<Vec<Plugin>> {
    let mailer = mailer(settings).await?;
    let engine = Engine::new(&cache_dir(settings)?)?;
    let limits = Limits::from(settings.limits);
    let mut plugins = Vec::new();
    for (name, plugin) in &settings.plugins {
        let (engine, mailer, name, path) =
            (engine.clone(), mailer.clone(), name.clone(), plugin.path.clone());
        let config: BTreeMap<_, _> =
            plugin.config.iter().map(|(key, value)| (key.clone(), value.to_string())).collect();
        let started = Instant::now();
        let load = move || Plugin::load(&engine, &name, &path, limits, config, mailer);
        let plugin = tokio::task::spawn_blocking(load).await.context(DEFECT)??;
        tracing::info!(plugin = plugin.name(), "loaded in {} ms", started.elapsed().as_millis());
        plugins.push(plugin);
    }
    Ok(plugins)
}

async fn mailer(settings: &Settings) -> anyhow::Result<Option<Mailer>> {
    let Mail { url, url_file, from } = &settings.mail;
    let Some(url) = secret(url.as_deref(), url_file.as_deref())? else { return Ok(None) };
    let mailer = Mailer::new(&url, from.as_deref())?;
    if let Err(reason) = mailer.check().await {
        let attempts = settings.retry.max_attempts;
        tracing::warn!("the mail server cannot be used now; each mail is tried {attempts} times: {reason}");
    }
    Ok(Some(mailer))
}

/// What a plugin subscribed to.
fn selection(plugin: &Plugin) -> anyhow::Result<Selection> {
    if plugin.subscriptions().is_empty() {
        return Ok(Selection::everything());
    }
    let mut selection = Selection::default();
    for (namespace, operations) in plugin.subscriptions() {
        let operations: Vec<_> = operations.iter().copied().map(Into::into).collect();
        if !namespace.contains(['.', '*']) {
            let name = plugin.name();
            bail!(
                "the plugin {name} subscribes to \"{namespace}\", which no change is in: a namespace is database.collection"
            );
        }
        selection.add(namespace, &operations).with_context(|| format!("the plugin {}", plugin.name()))?;
    }
    Ok(selection)
}

fn oplog(namespace: &str) -> anyhow::Result<Namespace> {
    namespace
        .parse()
        .ok()
        .context(format!("\"{namespace}\" is no namespace: --oplog takes DATABASE.COLLECTION"))
}

fn cache_dir(settings: &Settings) -> anyhow::Result<PathBuf> {
    if let Some(directory) = &settings.cache_dir {
        return Ok(directory.clone());
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let home = || std::env::home_dir().map(|home| home.join(".cache"));
    let cache = cache
        .or_else(home)
        .context("there is no home directory to keep compiled plugins in: name one by --cache-dir")?;
    Ok(cache.join("gtm-host"))
}
