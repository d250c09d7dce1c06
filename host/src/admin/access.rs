//! Who may see and steer a host.

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

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// This user, as the system says.
    User(u32),
    /// By TCP.
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

/// Who may see and steer a host.
#[derive(Clone, Debug)]
pub(super) enum AdminAccess {
    /// This user, and root.
    User(u32),
    /// Who says a token, of which this is the digest.
    Token([u8; 32]),
    /// Who is on this machine, but no web page that somebody reads on it.
    Local,
}

impl AdminAccess {
    pub(super) fn token(token: &str) -> Self {
        Self::Token(digest(token))
    }

    /// Lets only those through to these routes, and records who is refused.
    pub(super) fn guard(&self, routes: Router, refusals: &Arc<Refusals>) -> Router {
        routes.layer(from_fn_with_state((self.clone(), Arc::clone(refusals)), check))
    }

    /// Why a request is not let through. None: it is.
    fn refuse(&self, request: &Request) -> Option<(StatusCode, String)> {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        match self {
            Self::User(own) => match request.extensions().get::<Peer>() {
                Some(Peer::User(user)) if user == own || *user == 0 => None,
                _ => Some((
                    StatusCode::FORBIDDEN,
                    format!("this host takes orders from the user {own} and from root only"),
                )),
            },
            // Digests of the same length tell by the time of their comparison nothing about the token.
            Self::Token(expected) => match header(AUTHORIZATION).and_then(bearer) {
                Some(token) if digest(token) == *expected => None,
                given => {
                    let what = if given.is_some() { "the token is wrong" } else { "a token is needed" };
                    Some((StatusCode::UNAUTHORIZED, format!("{what}: send Authorization: Bearer TOKEN")))
                }
            },
            // A browser sends requests of any web page here, with their origin; or, where a name that a page has made up
            // leads here, with that name as the host.
            Self::Local if request.headers().contains_key(ORIGIN) => {
                Some((
                    StatusCode::FORBIDDEN,
                    "requests of web pages are refused, as no token was set".to_owned(),
                ))
            }
            Self::Local if !header(HOST).is_some_and(is_this_machine) => Some((
                StatusCode::FORBIDDEN,
                "if no token was set, the host must be called by a name of this machine, such as 127.0.0.1 or localhost"
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

/// Refused requests that are recorded in any minute.
const RECORDED: u64 = 60;
/// Characters of a path that are recorded.
const PATH: usize = 200;

/// Records who was refused in the audit log: so many in a minute, and how many more there were.
#[derive(Debug)]
pub(super) struct Refusals(Throttle);

impl Default for Refusals {
    fn default() -> Self {
        Self(Throttle::new(Duration::from_secs(60)))
    }
}

impl Refusals {
    fn record(&self, request: &Request, reason: &str) {
        if self.0.passes(Instant::now(), 1, RECORDED) {
            // The query may have a secret in it, as somebody tries where the token goes.
            let path = request.uri().path();
            let cut =
                path.char_indices().nth(PATH).map_or(path, |(end, _)| path.get(..end).unwrap_or_default());
            let request_line = format!("{} {cut}", request.method());
            if let Some(peer) = request.extensions().get::<Peer>() {
                Actor::from(*peer).was_not_let_in(&request_line, &reason);
            }
        }
    }

    /// Records how many were left out, if that is due, each second.
    pub(super) async fn report(&self) {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            say(self.0.due(Instant::now()));
        }
    }

    /// Records how many were left out since that was last recorded.
    pub(super) fn report_rest(&self) {
        say(self.0.rest());
    }
}

fn say(left_out: Option<LeftOut>) {
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

/// The token of `Bearer TOKEN`; the scheme has no case (RFC 9110, 11.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether this, of a `Host` header, names this machine: an address of the loopback, or `localhost`.
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
