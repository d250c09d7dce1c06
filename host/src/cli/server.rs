//! The deployment to follow, as the settings say.

use std::sync::Arc;

use anyhow::Context;
use gtm_host::config::{Settings, SourceSettings, secret};
use gtm_mongo::connect::{self, connect};
use gtm_mongo::{ConnectError, Deployment, SourceHealth};
use gtm_oplog::{Selection, Timestamp};
use gtm_runtime::Cluster;
use gtm_source::resolved::choose;
use gtm_source::{KeptProgress, ProgressStore, ResolvedSource, SourceConfig, newest_change};
use gtm_store::{Store, StoreKind};
use mongodb::{Client, Namespace};
use tokio_util::task::AbortOnDropHandle;

use super::usage::{OrUsage, UsageError, bail_usage};

const URI: &str = "mongodb://localhost:27017";

/// What is followed.
pub(super) struct FollowedServer {
    client: Client,
    deployment: Deployment,
    choice: ResolvedSource,
    health: SourceHealth,
}

impl FollowedServer {
    /// Connects, and chooses what to read. As many `readers` will follow it.
    pub(super) async fn find(settings: &Settings, readers: usize) -> anyhow::Result<Self> {
        let source = &settings.source;
        let oplog = source.oplog.as_deref().map(namespace).transpose()?;
        let uri = secret(source.uri.as_ref(), source.uri_file.as_deref())?;
        // Each has a cursor that waits, a look-up now and then, and the four readers of a snapshot.
        let connections = u32::try_from(6 * readers)?;
        let (client, deployment) =
            connect(uri.as_deref().unwrap_or(URI), connections).await.map_err(failed)?;
        let choice = choose(&client, &deployment, source.kind, oplog.as_ref()).await?;
        if let ResolvedSource::ChangeStream(Some(reason)) = &choice {
            tracing::info!("reading change streams, not the oplog: {reason}");
        }
        Ok(Self { client, deployment, choice, health: SourceHealth::default() })
    }

    /// The store that the settings name.
    pub(super) async fn store(&self, settings: &Settings) -> anyhow::Result<Store> {
        Ok(Store::open(&settings.store.kind, &self.client).await?)
    }

    /// How it is followed for what `selection` wants.
    pub(super) fn follow(&self, settings: &Settings, selection: Selection) -> SourceConfig {
        SourceConfig {
            client: self.client.clone(),
            choice: self.choice.clone(),
            selection,
            watched: None,
            start: settings.source.start.clone().unwrap_or_default(),
            history_lost: settings.source.on_history_lost,
            snapshot: settings.source.snapshot,
            progress: None,
            health: self.health.clone(),
        }
    }

    /// What is known of it, as long as it is [watched](Self::watch).
    pub(super) fn health(&self) -> SourceHealth {
        self.health.clone()
    }

    /// Watches whether it answers, until what is returned is dropped.
    pub(super) fn watch(&self) -> AbortOnDropHandle<()> {
        let Self { client, choice, health, .. } = self;
        let (client, choice, health) = (client.clone(), choice.clone(), health.clone());
        let newest = move || {
            let (client, choice) = (client.clone(), choice.clone());
            async move { newest_change(&client, &choice).await }
        };
        AbortOnDropHandle::new(tokio::spawn(async move { health.watch(newest).await }))
    }

    /// The progress of a snapshot of it, as it is kept.
    pub(super) fn progress(&self, store: Arc<dyn ProgressStore>) -> KeptProgress {
        KeptProgress { store, deployment: self.deployment() }
    }

    /// Connected to it.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Which deployment it is.
    pub(super) fn deployment(&self) -> String {
        self.deployment.to_string()
    }

    /// Whether its oplog or a change stream is read.
    pub(super) fn choice(&self) -> &ResolvedSource {
        &self.choice
    }

    /// Returns the time up to which it has changes now.
    pub(super) async fn now(&self) -> anyhow::Result<Timestamp> {
        Ok(gtm_source::now(&self.client, &self.choice).await?)
    }

    /// Returns the time of its oldest change, if changes after `start` cannot be read any more.
    pub(super) async fn rolled_off(&self, start: Timestamp) -> anyhow::Result<Option<Timestamp>> {
        Ok(gtm_source::rolled_off(&self.client, &self.choice, start).await?)
    }

    /// What is read of it.
    pub(super) fn describe(&self) -> String {
        let stream = match &self.choice {
            ResolvedSource::Oplog(oplog) => oplog.to_string(),
            ResolvedSource::ChangeStream(_) => "a change stream".to_owned(),
        };
        format!("{stream} of {}", self.deployment)
    }
}

/// A client of the server that the settings name, for what plugins read and write.
pub(super) async fn client_for_plugins(settings: &Settings) -> anyhow::Result<Cluster> {
    let uri = secret(settings.source.uri.as_ref(), settings.source.uri_file.as_deref())?;
    cluster(uri.as_deref().unwrap_or(URI)).await
}

/// The cluster at this URI. Nothing is asked yet.
pub(super) async fn cluster(uri: &str) -> anyhow::Result<Cluster> {
    let (client, hosts) = connect::client_for_plugins(uri).await.map_err(failed)?;
    Ok(Cluster { client, hosts: hosts.into() })
}

/// A client of the server that the settings name, without following anything.
pub(super) async fn client(settings: &Settings) -> anyhow::Result<Client> {
    let source = &settings.source;
    let uri = secret(source.uri.as_ref(), source.uri_file.as_deref())?;
    Ok(connect(uri.as_deref().unwrap_or(URI), 2).await.map_err(failed)?.0)
}

/// The store that the settings name, which is there, without following anything.
pub(super) async fn store(settings: &Settings) -> anyhow::Result<Store> {
    let client = match settings.store.kind {
        StoreKind::Mongodb => client(settings).await?,
        // Of no use here: what is in a directory can be looked at while the server is down.
        StoreKind::File(_) | StoreKind::None => Client::with_uri_str(URI).await?,
    };
    let store = Store::open_existing(&settings.store.kind, &client).await?;
    if !store.keeps() {
        bail_usage!("nothing is kept with --store none. help: pass the store that the host uses (--store)");
    }
    Ok(store)
}

/// Makes sure that what is said of the server can be understood, before anything that takes long.
pub(super) fn check(settings: &Settings) -> anyhow::Result<()> {
    let SourceSettings { uri, uri_file, oplog, .. } = &settings.source;
    oplog.as_deref().map(namespace).transpose()?;
    match secret(uri.as_ref(), uri_file.as_deref())? {
        Some(uri) => connect::check(&uri).or_usage(),
        None => Ok(()),
    }
}

/// A URI that cannot be understood is one of usage; a server that cannot be had is not.
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
        .context(format!("\"{namespace}\" is not a namespace: --source-oplog takes DATABASE.COLLECTION"))
        .or_usage()
}
