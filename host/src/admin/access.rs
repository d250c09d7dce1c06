//! Decides which clients may use the admin API.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use gtm_runtime::Actor;
use gtm_runtime::audit::TARGET;
use gtm_runtime::throttle::{LeftOut, Throttle};
use sha2::{Digest, Sha256};

use super::routes::refusal;

/// The client of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// A user of this machine, by number, as the system reports it.
    User(u32),
    /// A client by TCP.
    At(SocketAddr),
}

impl From<Peer> for Actor {
    fn from(peer: Peer) -> Self {
        match peer {
            Peer::User(user) => Self::Socket { user },
            Peer::At(peer) => Self::Tcp { peer },
        }
    }
}

/// The clients that may use a route.
#[derive(Clone, Debug)]
pub(super) enum AdminAccess {
    /// This user and root.
    User(u32),
    /// Clients that send the token with this digest.
    Token([u8; 32]),
    /// Clients on this machine, except web pages in a browser.
    Local,
}

impl AdminAccess {
    pub(super) fn token(token: &str) -> Self {
        Self::Token(digest(token))
    }

    /// Guards routes: only these clients get through, and the others are recorded.
    pub(super) fn guard(&self, routes: Router, refusals: &Arc<Refusals>) -> Router {
        routes.layer(from_fn_with_state((self.clone(), Arc::clone(refusals)), check))
    }

    /// Returns why a request is refused. None: it is allowed.
    fn refuse(&self, request: &Request) -> Option<(StatusCode, String)> {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        match self {
            Self::User(own) => match request.extensions().get::<Peer>() {
                Some(Peer::User(user)) if user == own || *user == 0 => None,
                _ => {
                    Some((StatusCode::FORBIDDEN, format!("only the user {own} and root may use this socket")))
                }
            },
            // The time to compare two digests reveals nothing about the token.
            Self::Token(expected) => match header(AUTHORIZATION).and_then(bearer) {
                Some(token) if digest(token) == *expected => None,
                given => {
                    let what = if given.is_some() { "the token is wrong" } else { "a token is needed" };
                    Some((StatusCode::UNAUTHORIZED, format!("{what}: send Authorization: Bearer TOKEN")))
                }
            },
            // A browser sends requests of any web page with the page's origin, or with the page's host name if that resolves to this
            // machine.
            Self::Local if request.headers().contains_key(ORIGIN) => Some((
                StatusCode::FORBIDDEN,
                "requests of web pages are refused, because no token was set".to_owned(),
            )),
            Self::Local if !header(HOST).is_some_and(is_this_machine) => Some((
                StatusCode::FORBIDDEN,
                "without a token, requests must use a name of this machine, such as 127.0.0.1 or localhost"
                    .to_owned(),
            )),
            Self::Local => None,
        }
    }
}

async fn check(
    State((access, refusals)): State<(AdminAccess, Arc<Refusals>)>,
    request: Request,
    next: Next,
) -> Response {
    let Some((status, reason)) = access.refuse(&request) else { return next.run(request).await };
    refusals.record(&request, &reason);
    let answer = refusal(status, reason);
    match status {
        StatusCode::UNAUTHORIZED => ([(WWW_AUTHENTICATE, "Bearer")], answer).into_response(),
        _ => answer,
    }
}

/// The number of refused requests that are recorded per minute.
const MAX_RECORDED: u64 = 60;
/// The number of characters of a path that are recorded.
const MAX_PATH_LENGTH: usize = 200;

/// Records refused requests in the audit log, up to [`MAX_RECORDED`] per minute, and the number of the others.
#[derive(Debug)]
pub(super) struct Refusals(Throttle);

impl Default for Refusals {
    fn default() -> Self {
        Self(Throttle::new(Duration::from_secs(60)))
    }
}

impl Refusals {
    fn record(&self, request: &Request, reason: &str) {
        if self.0.passes(Instant::now(), 1, MAX_RECORDED) {
            // Leaves out the query: a client may have put the token into it.
            let path = request.uri().path();
            let cut = path
                .char_indices()
                .nth(MAX_PATH_LENGTH)
                .map_or(path, |(end, _)| path.get(..end).unwrap_or_default());
            let request_line = format!("{} {cut}", request.method());
            if let Some(peer) = request.extensions().get::<Peer>() {
                Actor::from(*peer).was_not_let_in(&request_line, &reason);
            }
        }
    }

    /// Records once a minute how many requests were left out, without end.
    pub(super) async fn report(&self) {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            log_left_out(self.0.due(Instant::now()));
        }
    }

    /// Records how many requests were left out since the last record.
    pub(super) fn report_rest(&self) {
        log_left_out(self.0.rest());
    }
}

fn log_left_out(left_out: Option<LeftOut>) {
    if let Some(LeftOut { count, most }) = left_out {
        tracing::warn!(
            target: TARGET,
            event = "audit.leave_out",
            left_out = count,
            limit_per_minute = most,
            "left out refused requests: there were more than the log records"
        );
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// Returns the token of `Bearer TOKEN`. The case of the scheme does not matter (RFC 9110, 11.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Returns whether a `Host` header names this machine: a loopback address or `localhost`.
fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_header_names_this_machine_or_another() {
        for own in ["127.0.0.1:9797", "127.9.9.9", "localhost:1", "LocalHost", "[::1]:9797", "[::1]"] {
            assert!(is_this_machine(own), "{own}");
        }
        for other in
            ["", "evil.example:9797", "localhost.evil.example", "10.0.0.1", "[::2]:1", "127.0.0.1.evil"]
        {
            assert!(!is_this_machine(other), "{other}");
        }
    }

    #[test]
    fn a_bearer_token_is_read() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc"), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("Bearer"), None);
    }
}
