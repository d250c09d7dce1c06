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
use serde::Deserialize;
use serde_json::json;

use super::access::Peer;
use super::metrics::Metrics;
use super::text_format::TextFormat;
use crate::audit::Actor;
use crate::delivery::{Control, ControlError, HostStatus, Standing, Swapped};
use crate::source::{NoStart, Start};

const PATHS: &str = "GET /status, GET /metrics, GET /health, GET /ready, POST /pause, POST /resume, POST /seek and POST /swap";

/// What may be seen and done by some.
pub(super) fn steering(control: Control) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/pause", post(pause))
        .route("/resume", post(resume))
        .route("/seek", post(seek))
        .route("/swap", post(swap))
        .with_state(control)
}

/// What may be seen by some more.
pub(super) fn metrics(control: Control) -> Router {
    let metrics = Arc::new(Metrics::new(control));
    Router::new().route("/metrics", get(async move |headers: HeaderMap| shown(&metrics, &headers)))
}

/// What may be seen by all.
pub(super) fn probes(control: Control, grace: Duration) -> Router {
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
struct Which {
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

async fn status(State(control): State<Control>) -> Json<HostStatus> {
    Json(control.status())
}

async fn pause(
    State(control): State<Control>,
    Extension(peer): Extension<Peer>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Response, Refused> {
    let Query(Which { plugin }) = which?;
    let done = control.pause(plugin.as_deref()).await;
    audited(peer, "pause", plugin.as_deref(), None, done)
}

async fn resume(
    State(control): State<Control>,
    Extension(peer): Extension<Peer>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Response, Refused> {
    let Query(Which { plugin }) = which?;
    let done = control.resume(plugin.as_deref()).await;
    audited(peer, "resume", plugin.as_deref(), None, done)
}

async fn seek(
    State(control): State<Control>,
    Extension(peer): Extension<Peer>,
    seek: Result<Query<Seek>, QueryRejection>,
) -> Result<Response, Refused> {
    let Query(Seek { plugin, to }) = seek?;
    let start = Start::parse(&to, SystemTime::now())?;
    let done = control.seek(plugin.as_deref(), &start).await;
    audited(peer, "seek", plugin.as_deref(), Some(&to), done)
}

async fn swap(
    State(control): State<Control>,
    Extension(peer): Extension<Peer>,
    swap: Result<Query<Swap>, QueryRejection>,
) -> Result<Response, Refused> {
    let Query(Swap { plugin, file }) = swap?;
    let actor = Actor::from(peer);
    match control.swap(&plugin, &file).await {
        Ok(Swapped { version, warning }) => {
            actor.did("swap", &plugin, Some(&version));
            Ok(Json(json!({ "plugins": [plugin], "version": version, "warning": warning })).into_response())
        }
        Err(error) => {
            actor.was_refused("swap", &plugin, Some(&file.display()), &error);
            Err(error.into())
        }
    }
}

/// Records what was asked for, and answers.
fn audited(
    peer: Peer,
    action: &str,
    plugin: Option<&str>,
    to: Option<&dyn Display>,
    done: Result<Vec<String>, ControlError>,
) -> Result<Response, Refused> {
    let actor = Actor::from(peer);
    match done {
        Ok(plugins) => {
            plugins.iter().for_each(|plugin| actor.did(action, plugin, to));
            Ok(told(&plugins))
        }
        Err(error) => {
            actor.was_refused(action, plugin.unwrap_or("*"), to, &error);
            Err(error.into())
        }
    }
}

fn ready(control: &Control, grace: Duration) -> Response {
    let standing = control.standing();
    let works = matches!(standing, Standing::Active | Standing::Standby);
    let source = control.source();
    if let Some(away) = source.away().filter(|away| works && *away > grace) {
        // Anybody may ask, so the error, which names servers, is in the status only.
        let state = source.status().state.name();
        let says = format!("{}: {state} for {} s\n", standing.name(), away.as_secs());
        return (StatusCode::SERVICE_UNAVAILABLE, says).into_response();
    }
    let status = if works { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, format!("{}\n", standing.name())).into_response()
}

fn shown(metrics: &Metrics, headers: &HeaderMap) -> Response {
    let format = TextFormat::accepted(headers);
    match metrics.text(format) {
        Ok(text) => ([(CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// Which plugins do as they were told.
fn told(plugins: &[String]) -> Response {
    Json(json!({ "plugins": plugins })).into_response()
}

/// What is not done.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{}", .0.body_text())]
    Query(#[from] QueryRejection),
    #[error("to: {0}")]
    Start(#[from] NoStart),
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Query(rejection) => rejection.status(),
            Self::Start(_) | Self::Control(ControlError::WhichPlugin { .. }) => StatusCode::BAD_REQUEST,
            Self::Control(ControlError::NoPlugin { .. }) => StatusCode::NOT_FOUND,
            Self::Control(
                ControlError::Standby { .. }
                | ControlError::Stopped { .. }
                | ControlError::Seek(_)
                | ControlError::Swap { .. },
            ) => StatusCode::CONFLICT,
            Self::Control(ControlError::Starting | ControlError::Stopping) => StatusCode::SERVICE_UNAVAILABLE,
        };
        refusal(status, self.to_string())
    }
}
