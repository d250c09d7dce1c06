//! Connects to the deployment that the settings name.

use std::sync::Arc;

use anyhow::Context;
use gtm_host::config::{Settings, SourceSettings, secret};
use gtm_mongo::connect::{self, connect};
use gtm_mongo::{ConnectError, Deployment, SourceHealth};
use gtm_oplog::{Selection, Timestamp};
use gtm_runtime::Cluster;
use gtm_source::resolved::choose;
use gtm_source::{ProgressStore, ResolvedSource, SourceConfig, StoredProgress, WatchedScope, newest_change};
use gtm_store::{Store, StoreKind};
use mongodb::{Client, Namespace};
use tokio_util::task::AbortOnDropHandle;

use super::usage::{OrUsage, UsageError, bail_usage};

const DEFAULT_URI: &str = "mongodb://localhost:27017";

/// The deployment that the host follows.
pub(super) struct FollowedServer {
    client: Client,
    deployment: Deployment,
    choice: ResolvedSource,
    watched: WatchedScope,
    health: SourceHealth,
}

impl FollowedServer {
    /// Connects, and chooses oplog or change stream. `readers` is the number of readers that will follow it.
    pub(super) async fn find(settings: &Settings, readers: usize) -> anyhow::Result<Self> {
        let source = &settings.source;
        let oplog = source.oplog.as_deref().map(namespace).transpose()?;
        let uri = secret(source.uri.as_ref(), source.uri_file.as_deref())?;
        // Each needs a connection for a waiting cursor, one for look-ups, and four for a snapshot.
        let connections = u32::try_from(6 * readers)?;
        let (client, deployment) =
            connect(uri.as_deref().unwrap_or(DEFAULT_URI), connections).await.map_err(failed)?;
        let choice = choose(&client, &deployment, source.kind, oplog.as_ref()).await?;
        if let ResolvedSource::ChangeStream(Some(reason)) = &choice {
            tracing::info!(event = "source.choose", reason, "reading change streams, not the oplog");
        }
        Ok(Self {
            client,
            deployment,
            choice,
            watched: WatchedScope::default(),
            health: SourceHealth::default(),
        })
    }

    /// Opens the store that the settings name.
    pub(super) async fn store(&self, settings: &Settings) -> anyhow::Result<Store> {
        Ok(Store::open(&settings.store.kind, &self.client).await?)
    }

    /// Returns the configuration of a reader for this selection.
    pub(super) fn follow(&self, settings: &Settings, selection: Selection) -> SourceConfig {
        SourceConfig {
            client: self.client.clone(),
            choice: self.choice.clone(),
            selection,
            watched: self.watched.clone(),
            start: settings.source.start.clone().unwrap_or_default(),
            history_lost: settings.source.on_history_lost,
            snapshot: settings.source.snapshot,
            progress: None,
            health: self.health.clone(),
        }
    }

    /// Returns the part of the deployment that change streams watch.
    pub(super) fn watched(&self) -> &WatchedScope {
        &self.watched
    }

    /// Returns the health of the source, which is current while it is [watched](Self::watch).
    pub(super) fn health(&self) -> SourceHealth {
        self.health.clone()
    }

    /// Checks at an interval whether the server answers, until the result is dropped.
    pub(super) fn watch(&self) -> AbortOnDropHandle<()> {
        let Self { client, choice, health, .. } = self;
        let (client, choice, health) = (client.clone(), choice.clone(), health.clone());
        let newest = move || {
            let (client, choice) = (client.clone(), choice.clone());
            async move { newest_change(&client, &choice).await }
        };
        AbortOnDropHandle::new(tokio::spawn(async move { health.watch(newest).await }))
    }

    /// Returns the stored progress of a snapshot of this deployment.
    pub(super) fn progress(&self, store: Arc<dyn ProgressStore>) -> StoredProgress {
        StoredProgress { store, deployment: self.deployment() }
    }

    /// Returns a client that is connected to the deployment.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the name of the deployment, as checkpoints record it.
    pub(super) fn deployment(&self) -> String {
        self.deployment.to_string()
    }

    /// Returns whether the oplog or a change stream is read.
    pub(super) fn choice(&self) -> &ResolvedSource {
        &self.choice
    }

    /// Returns the time of the newest change.
    pub(super) async fn now(&self) -> anyhow::Result<Timestamp> {
        Ok(gtm_source::now(&self.client, &self.choice).await?)
    }

    /// Returns the time of the oldest change if changes after `start` can no longer be read.
    pub(super) async fn rolled_off(&self, start: Timestamp) -> anyhow::Result<Option<Timestamp>> {
        Ok(gtm_source::rolled_off(&self.client, &self.choice, start).await?)
    }

    /// Describes the stream and the deployment for people.
    pub(super) fn describe(&self) -> String {
        let stream = match &self.choice {
            ResolvedSource::Oplog(oplog) => oplog.to_string(),
            ResolvedSource::ChangeStream(_) => "a change stream".to_owned(),
        };
        format!("{stream} of {}", self.deployment)
    }
}

/// Returns a client of the server that the settings name, for reads and writes of plugins.
pub(super) async fn client_for_plugins(settings: &Settings) -> anyhow::Result<Cluster> {
    let uri = secret(settings.source.uri.as_ref(), settings.source.uri_file.as_deref())?;
    cluster(uri.as_deref().unwrap_or(DEFAULT_URI)).await
}

/// Returns the cluster at this URI. It does not connect yet.
pub(super) async fn cluster(uri: &str) -> anyhow::Result<Cluster> {
    let (client, hosts) = connect::client_for_plugins(uri).await.map_err(failed)?;
    Ok(Cluster { client, hosts: hosts.into() })
}

/// Connects to the server that the settings name, without following it.
pub(super) async fn client(settings: &Settings) -> anyhow::Result<Client> {
    let source = &settings.source;
    let uri = secret(source.uri.as_ref(), source.uri_file.as_deref())?;
    Ok(connect(uri.as_deref().unwrap_or(DEFAULT_URI), 2).await.map_err(failed)?.0)
}

/// Opens the store that the settings name, which must exist, without following the server.
pub(super) async fn store(settings: &Settings) -> anyhow::Result<Store> {
    let client = match settings.store.kind {
        StoreKind::Mongodb => client(settings).await?,
        // This client is not used: a directory can be read while the server is down.
        StoreKind::File(_) | StoreKind::None => Client::with_uri_str(DEFAULT_URI).await?,
    };
    let store = Store::open_existing(&settings.store.kind, &client).await?;
    if !store.keeps() {
        bail_usage!("--store none keeps nothing. help: pass the store that the host uses with --store");
    }
    Ok(store)
}

/// Checks the settings of the server before anything that takes long.
///
/// # Errors
/// Fails if the URI or the namespace of the oplog is not valid.
pub(super) fn check(settings: &Settings) -> anyhow::Result<()> {
    let SourceSettings { uri, uri_file, oplog, .. } = &settings.source;
    oplog.as_deref().map(namespace).transpose()?;
    match secret(uri.as_ref(), uri_file.as_deref())? {
        Some(uri) => connect::check(&uri).or_usage(),
        None => Ok(()),
    }
}

/// Converts an error of the connection: a URI that is not valid is a usage error, and a server that does not answer is not.
fn failed(error: ConnectError) -> anyhow::Error {
    match error {
        ConnectError::Uri { .. } | ConnectError::UserInfo => UsageError(error.into()).into(),
        _ => error.into(),
    }
}

fn namespace(namespace: &str) -> anyhow::Result<Namespace> {
    namespace
        .parse()
        .ok()
        .context(format!(
            "\"{namespace}\" is not a valid namespace. help: pass --source-oplog DATABASE.COLLECTION"
        ))
        .or_usage()
}
