//! Measures how long a host takes from its start until it tails.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use mongodb::Client;

use crate::host::{Host, Plugin};
use crate::server::{Mix, Options, Server};

const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Returns how long a host takes until ten compiled plugins tail, in milliseconds.
pub(crate) fn of_host() -> anyhow::Result<f64> {
    let server = Server::start(Options { count: 0, size: 300, mix: Mix::Mixed, rate: None, port: 0 })?;
    let plugins: Vec<_> = Plugin::several("tally_others", 10).collect();
    let started = Instant::now();
    let mut host = Host::start(&server.uri(), &plugins, &["--start", "now"])?;
    let (mut tailing, mut last) = (0, started);
    while tailing < plugins.len() {
        let (at, line) = host.line(START_TIMEOUT)?.context("the host does not tail")?;
        if line.is_tailing() {
            (tailing, last) = (tailing + 1, at);
        }
    }
    host.stop()?;
    ensure!(last > started, "the host tails before it was started");
    Ok((last - started).as_secs_f64() * 1e3)
}

/// Returns how long the bare driver takes until it is connected and has its first reply, in milliseconds.
pub(crate) async fn of_driver() -> anyhow::Result<f64> {
    let server = Server::start(Options { count: 0, size: 300, mix: Mix::Mixed, rate: None, port: 0 })?;
    let started = Instant::now();
    let client = Client::with_uri_str(server.uri()).await?;
    let oplog = client.database("local").collection::<bson::RawDocumentBuf>("oplog.rs");
    drop(oplog.find(bson::doc! {}).cursor_type(mongodb::options::CursorType::TailableAwait).batch().await?);
    Ok(started.elapsed().as_secs_f64() * 1e3)
}
