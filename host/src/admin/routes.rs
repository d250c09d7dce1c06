//! The routes of the API.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use gtm_delivery::{CommandOutcome, ControlError, HostActivity, HostControl, HostStatus, Swapped};
use gtm_runtime::Actor;
use gtm_source::{ParseStartError, StartAt};
use serde::Deserialize;
use serde_json::json;

use super::access::Peer;
use super::metrics::HostMetrics;
use super::text_format::TextFormat;
use crate::remedy::WithRemedy;

const PATHS: &str = "GET /status, GET /metrics, GET /health, GET /ready, POST /pause, POST /resume, POST /seek and POST /swap";

/// Returns the routes for the status and the commands.
pub(super) fn commands(control: HostControl) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/pause", post(pause))
        .route("/resume", post(resume))
        .route("/seek", post(seek))
        .route("/swap", post(swap))
        .with_state(control)
}

/// Returns the route for metrics, which more clients may read.
pub(super) fn metrics(control: HostControl) -> Router {
    let metrics = Arc::new(HostMetrics::new(control));
    Router::new().route("/metrics", get(async move |headers: HeaderMap| metrics_answer(&metrics, &headers)))
}

/// Returns the routes for probes, which are open to all.
pub(super) fn probes(control: HostControl, grace: Duration) -> Router {
    Router::new()
        .route("/health", get(async || "ok\n"))
        .route("/ready", get(async move || ready(&control, grace)))
}

/// Adds the answers to any other path or method.
pub(super) fn with_fallbacks(routes: Router) -> Router {
    let other =
        async || refusal(StatusCode::NOT_FOUND, format!("this path does not exist. help: use {PATHS}"));
    let method = async || {
        refusal(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("this path does not allow this method. help: use {PATHS}"),
        )
    };
    routes.fallback(other).method_not_allowed_fallback(method)
}

/// Returns an error as an answer.
pub(super) fn refusal(status: StatusCode, error: impl Into<String>) -> Response {
    (status, Json(json!({ "error": error.into() }))).into_response()
}

/// The plugin of a command. Unknown fields are refused: `?plugins=x` must not mean all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PluginQuery {
    plugin: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seek {
    plugin: Option<String>,
    to: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Swap {
    plugin: String,
    file: PathBuf,
}

async fn status(State(control): State<HostControl>) -> Json<HostStatus> {
    Json(control.status())
}

async fn pause(
    State(control): State<HostControl>,
    Extension(peer): Extension<Peer>,
    which: Result<Query<PluginQuery>, QueryRejection>,
) -> Result<Response, RefusedRequest> {
    let Query(PluginQuery { plugin }) = which?;
    complete(async move {
        let outcomes = control.pause(plugin.as_deref()).await;
        recorded(peer, "pause", plugin.as_deref(), None, outcomes)
    })
    .await
}

async fn resume(
    State(control): State<HostControl>,
    Extension(peer): Extension<Peer>,
    which: Result<Query<PluginQuery>, QueryRejection>,
) -> Result<Response, RefusedRequest> {
    let Query(PluginQuery { plugin }) = which?;
    complete(async move {
        let outcomes = control.resume(plugin.as_deref()).await;
        recorded(peer, "resume", plugin.as_deref(), None, outcomes)
    })
    .await
}

async fn seek(
    State(control): State<HostControl>,
    Extension(peer): Extension<Peer>,
    seek: Result<Query<Seek>, QueryRejection>,
) -> Result<Response, RefusedRequest> {
    let Query(Seek { plugin, to }) = seek?;
    let start = StartAt::parse(&to, SystemTime::now())?;
    complete(async move {
        let outcomes = control.seek(plugin.as_deref(), &start).await;
        recorded(peer, "seek", plugin.as_deref(), Some(&to), outcomes)
    })
    .await
}

async fn swap(
    State(control): State<HostControl>,
    Extension(peer): Extension<Peer>,
    swap: Result<Query<Swap>, QueryRejection>,
) -> Result<Response, RefusedRequest> {
    let Query(Swap { plugin, file }) = swap?;
    let actor = Actor::from(peer);
    complete(async move {
        match control.swap(&plugin, &file).await {
            Ok(Swapped { version, warning }) => {
                actor.did("swap", &plugin, Some(&version));
                let answer = json!({ "plugins": [plugin], "version": version, "warning": warning });
                Ok(Json(answer).into_response())
            }
            Err(error) => {
                actor.was_refused("swap", &plugin, Some(&file.display()), &error);
                // A client at the socket is the host's own user, who may see the files, or root.
                let error = if let Peer::At(_) = peer { error.withheld() } else { error };
                Err(error.into())
            }
        }
    })
    .await
}

/// Waits for a command and its record. Both continue if the client disconnects: the server drops the handler then, but the plugin carries
/// the command out.
async fn complete(
    command: impl Future<Output = Result<Response, RefusedRequest>> + Send + 'static,
) -> Result<Response, RefusedRequest> {
    match tokio::spawn(command).await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(ControlError::Stopping.into()),
        },
    }
}

/// Records the outcome of a command for each plugin, and returns the answer.
fn recorded(
    peer: Peer,
    action: &str,
    plugin: Option<&str>,
    to: Option<&dyn Display>,
    outcomes: Result<Vec<CommandOutcome>, ControlError>,
) -> Result<Response, RefusedRequest> {
    let actor = Actor::from(peer);
    let outcomes =
        outcomes.inspect_err(|error| actor.was_refused(action, plugin.unwrap_or("*"), to, error))?;
    let (mut plugins, mut failed) = (Vec::new(), None);
    for CommandOutcome { plugin, done } in outcomes {
        match done {
            Ok(()) => {
                actor.did(action, &plugin, to);
                plugins.push(plugin);
            }
            Err(error) => {
                actor.was_refused(action, &plugin, to, &error);
                failed.get_or_insert((plugin, error));
            }
        }
    }
    match failed {
        None => Ok(Json(json!({ "plugins": plugins })).into_response()),
        Some((_, error)) if plugins.is_empty() => Err(error.into()),
        Some((plugin, reason)) => {
            let (reason, done) = (Box::new(reason), plugins.join(", "));
            Err(ControlError::Partly { plugin, reason, done }.into())
        }
    }
}

fn ready(control: &HostControl, grace: Duration) -> Response {
    let standing = control.activity();
    let works = matches!(standing, HostActivity::Active | HostActivity::Standby);
    let source = control.source();
    if let Some(away) = source.unavailable_for().filter(|away| works && *away > grace) {
        // The route is open to all, so it leaves out the error, which names servers.
        let state = source.status().state.name();
        let says = format!("{}: {state} for {} s\n", standing.name(), away.as_secs());
        return (StatusCode::SERVICE_UNAVAILABLE, says).into_response();
    }
    let status = if works { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, format!("{}\n", standing.name())).into_response()
}

fn metrics_answer(metrics: &HostMetrics, headers: &HeaderMap) -> Response {
    let format = TextFormat::accepted(headers);
    match metrics.text(format) {
        Ok(text) => ([(CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// A request that is refused.
#[derive(Debug, thiserror::Error)]
enum RefusedRequest {
    #[error("{}", .0.body_text())]
    Query(#[from] QueryRejection),
    #[error("to: {0}")]
    Start(#[from] ParseStartError),
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl IntoResponse for RefusedRequest {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Query(rejection) => rejection.status(),
            Self::Start(_) | Self::Control(ControlError::WhichPlugin { .. }) => StatusCode::BAD_REQUEST,
            Self::Control(ControlError::NoPlugin { .. }) => StatusCode::NOT_FOUND,
            Self::Control(
                ControlError::Standby { .. }
                | ControlError::Stopped { .. }
                | ControlError::Seek(_)
                | ControlError::SeekTimedOut
                | ControlError::Swap { .. }
                | ControlError::SwapUnderWay
                | ControlError::Partly { .. },
            ) => StatusCode::CONFLICT,
            Self::Control(ControlError::Starting | ControlError::Stopping) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let reason = match &self {
            Self::Control(error) => WithRemedy(error).to_string(),
            Self::Query(_) | Self::Start(_) => self.to_string(),
        };
        refusal(status, reason)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Mutex;

    use super::*;

    /// The captured log.
    #[derive(Clone, Default)]
    struct CapturedAudit(Arc<Mutex<Vec<u8>>>);

    impl Write for CapturedAudit {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_plugin_that_was_told_is_recorded_with_what_became_of_it() {
        let outcomes = |plugin: &str, done| CommandOutcome { plugin: plugin.to_owned(), done };
        let all =
            vec![outcomes("a", Ok(())), outcomes("b", Err(ControlError::Stopping)), outcomes("c", Ok(()))];
        let log = CapturedAudit::default();
        let kept = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || kept.clone()).finish();
        let answer = tracing::subscriber::with_default(subscriber, || {
            recorded(Peer::User(7), "pause", None, None, Ok(all))
        });
        let refused = answer.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the command failed for the plugin b: this host is stopping. It succeeded for: a, c"
        );
        assert_eq!(refused.into_response().status(), StatusCode::CONFLICT);
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let outcomes: Vec<_> = log
            .lines()
            .map(|line| (line.contains("outcome=\"done\""), line.contains("plugin=\"b\"")))
            .collect();
        assert_eq!(outcomes, [(true, false), (false, true), (true, false)], "{log}");
        assert!(!log.contains("plugin=\"*\""), "{log}");
    }
}
