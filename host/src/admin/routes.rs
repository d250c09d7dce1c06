//! The paths of the API, and what is answered there.

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
use gtm_source::{NoStart, Start};
use serde::Deserialize;
use serde_json::json;

use super::access::Peer;
use super::metrics::HostMetrics;
use super::text_format::TextFormat;
use crate::remedy::WithRemedy;

const PATHS: &str = "GET /status, GET /metrics, GET /health, GET /ready, POST /pause, POST /resume, POST /seek and POST /swap";

/// What may be seen and done by some.
pub(super) fn steering(control: HostControl) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/pause", post(pause))
        .route("/resume", post(resume))
        .route("/seek", post(seek))
        .route("/swap", post(swap))
        .with_state(control)
}

/// What may be seen by some more.
pub(super) fn metrics(control: HostControl) -> Router {
    let metrics = Arc::new(HostMetrics::new(control));
    Router::new().route("/metrics", get(async move |headers: HeaderMap| shown(&metrics, &headers)))
}

/// What may be seen by all.
pub(super) fn probes(control: HostControl, grace: Duration) -> Router {
    Router::new()
        .route("/health", get(async || "ok\n"))
        .route("/ready", get(async move || ready(&control, grace)))
}

/// What is answered to anything else.
pub(super) fn with_fallbacks(routes: Router) -> Router {
    let other = async || refusal(StatusCode::NOT_FOUND, format!("there is no such path; there are {PATHS}"));
    let method =
        async || refusal(StatusCode::METHOD_NOT_ALLOWED, format!("not by this method; there are {PATHS}"));
    routes.fallback(other).method_not_allowed_fallback(method)
}

/// An error, in words.
pub(super) fn refusal(status: StatusCode, error: impl Into<String>) -> Response {
    (status, Json(json!({ "error": error.into() }))).into_response()
}

/// Which plugin is steered. What is not known is refused: `?plugins=x` must not mean all.
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
    carried_out(async move {
        let told = control.pause(plugin.as_deref()).await;
        recorded(peer, "pause", plugin.as_deref(), None, told)
    })
    .await
}

async fn resume(
    State(control): State<HostControl>,
    Extension(peer): Extension<Peer>,
    which: Result<Query<PluginQuery>, QueryRejection>,
) -> Result<Response, RefusedRequest> {
    let Query(PluginQuery { plugin }) = which?;
    carried_out(async move {
        let told = control.resume(plugin.as_deref()).await;
        recorded(peer, "resume", plugin.as_deref(), None, told)
    })
    .await
}

async fn seek(
    State(control): State<HostControl>,
    Extension(peer): Extension<Peer>,
    seek: Result<Query<Seek>, QueryRejection>,
) -> Result<Response, RefusedRequest> {
    let Query(Seek { plugin, to }) = seek?;
    let start = Start::parse(&to, SystemTime::now())?;
    carried_out(async move {
        let told = control.seek(plugin.as_deref(), &start).await;
        recorded(peer, "seek", plugin.as_deref(), Some(&to), told)
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
    carried_out(async move {
        match control.swap(&plugin, &file).await {
            Ok(Swapped { version, warning }) => {
                actor.did("swap", &plugin, Some(&version));
                let answer = json!({ "plugins": [plugin], "version": version, "warning": warning });
                Ok(Json(answer).into_response())
            }
            Err(error) => {
                actor.was_refused("swap", &plugin, Some(&file.display()), &error);
                // Whoever is at the socket is the host's own user, who sees the files, or root.
                let said = if let Peer::At(_) = peer { error.withheld() } else { error };
                Err(said.into())
            }
        }
    })
    .await
}

/// Waits for a command and the record of it. Both go on if the client leaves: the server drops the handler then, and what a plugin was
/// told, it does all the same.
async fn carried_out(
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

/// Records what each plugin was told, and answers.
fn recorded(
    peer: Peer,
    action: &str,
    plugin: Option<&str>,
    to: Option<&dyn Display>,
    told: Result<Vec<CommandOutcome>, ControlError>,
) -> Result<Response, RefusedRequest> {
    let actor = Actor::from(peer);
    let told = told.inspect_err(|error| actor.was_refused(action, plugin.unwrap_or("*"), to, error))?;
    let (mut plugins, mut failed) = (Vec::new(), None);
    for CommandOutcome { plugin, done } in told {
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
        // Anybody may ask, so the error, which names servers, is in the status only.
        let state = source.status().state.name();
        let says = format!("{}: {state} for {} s\n", standing.name(), away.as_secs());
        return (StatusCode::SERVICE_UNAVAILABLE, says).into_response();
    }
    let status = if works { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, format!("{}\n", standing.name())).into_response()
}

fn shown(metrics: &HostMetrics, headers: &HeaderMap) -> Response {
    let format = TextFormat::accepted(headers);
    match metrics.text(format) {
        Ok(text) => ([(CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// What is not done.
#[derive(Debug, thiserror::Error)]
enum RefusedRequest {
    #[error("{}", .0.body_text())]
    Query(#[from] QueryRejection),
    #[error("to: {0}")]
    Start(#[from] NoStart),
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

    /// What was logged.
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
        let told = |plugin: &str, done| CommandOutcome { plugin: plugin.to_owned(), done };
        let all = vec![told("a", Ok(())), told("b", Err(ControlError::Stopping)), told("c", Ok(()))];
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
            "the plugin b does not follow: this host is stopping. These plugins do: a, c"
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
