//! Any grant and any URI, with or without a method before it, any host with its port, or any namespace, separated by a tab: the grant
//! covers what it names.

use std::net::IpAddr;

use gtm_runtime::fuzzing::{covers, covers_connection, covers_namespace};
use gtm_runtime::{HttpGrant, NamespaceGrant, TcpGrant};
use http::{Method, Uri};

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some((grant, asked)) = text.split_once('\t') else { return };
    let (method, uri) = asked.split_once(' ').unwrap_or(("GET", asked));
    if let (Ok(granted), Ok(method), Ok(uri)) = (grant.parse::<HttpGrant>(), method.parse(), uri.parse()) {
        of_http(grant, &granted, &method, &uri);
    }
    if let Ok(granted) = grant.parse::<TcpGrant>() {
        of_tcp(grant, &granted, asked);
    }
    if let Ok(granted) = NamespaceGrant::new(grant) {
        of_namespace(grant, &granted, asked);
    }
}

fn of_http(grant: &str, granted: &HttpGrant, method: &Method, uri: &Uri) {
    let server =
        grant.split_once("://").map_or(grant, |(_, rest)| rest).split('/').next().unwrap_or_default();
    assert!(!server.contains('@'), "a grant with a user was taken");
    let names_method = |names: &str| names.split(',').any(|name| name == method.as_str());
    let is_by_method = grant.split_once(' ').is_none_or(|(names, _)| names_method(names));
    // The server that is shown of it is the same grant by these methods, or one of more where it is of some paths only.
    let shown = granted.to_string();
    let is_whole = !shown.contains(" (only at ");
    let shown = shown.split(' ').next().unwrap_or_default();
    let again = shown.parse::<HttpGrant>();
    let again = again.unwrap_or_else(|error| panic!("{grant:?} is shown as {shown:?}: {error}"));
    let (again, covered) = (covers(&again, method, uri) && is_by_method, covers(granted, method, uri));
    assert!(if is_whole { again == covered } else { again || !covered }, "{grant} {method} {uri}");
    if !covered {
        return;
    }
    let (scheme, rest) = shown.split_once("://").expect("a scheme is shown");
    let rest = rest.split('/').next().unwrap_or_default();
    assert_eq!(uri.scheme_str().unwrap_or("https"), scheme, "{shown} {uri}");
    let host = uri.host().expect("it has a server").trim_end_matches('.').to_ascii_lowercase();
    let port = uri.port_u16().unwrap_or(if scheme == "http" { 80 } else { 443 });
    match rest.strip_prefix('*') {
        // Only one that is shown with its port is for another than the usual.
        Some(rest) => {
            let domain = rest.rsplit_once(':').map_or(rest, |(domain, _)| domain);
            assert!(host.ends_with(domain), "{shown} {uri}");
            assert!(rest.ends_with(&format!(":{port}")) || [80, 443].contains(&port), "{shown} {uri}");
        }
        None => {
            let named: Uri = shown.parse().expect("what is shown is a server");
            assert_eq!(
                named.port_u16().unwrap_or(if scheme == "http" { 80 } else { 443 }),
                port,
                "{shown} {uri}"
            );
            let named = named.host().expect("it has a server");
            let address = |host: &str| {
                let bare = host.trim_start_matches('[').trim_end_matches(']');
                bare.parse::<std::net::IpAddr>().ok().map(|address| address.to_canonical())
            };
            let is_same = match (address(named), address(&host)) {
                (Some(one), Some(other)) => one == other,
                (None, None) => named == host,
                _ => false,
            };
            assert!(is_same, "{shown} {uri}");
        }
    }
}

fn of_tcp(grant: &str, granted: &TcpGrant, asked: &str) {
    let shown = granted.to_string();
    assert_eq!(shown.parse::<TcpGrant>().as_ref().ok(), Some(granted), "{grant:?} is shown as {shown:?}");
    let (host, port) = shown.rsplit_once(':').expect("a port is shown");
    assert!(port.parse::<u16>().is_ok_and(|port| port > 0), "{shown}");
    assert!(!host.contains(['@', '/', ' ']), "{shown}");
    let Some((asked_host, asked_port)) = asked.rsplit_once(':') else { return };
    let Ok(asked_port) = asked_port.parse::<u16>() else { return };
    if !covers_connection(granted, asked_host, asked_port) {
        return;
    }
    assert_eq!(port.parse(), Ok(asked_port), "{shown} {asked}");
    let name = |host: &str| host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let asked_name = name(asked_host);
    let address = |host: &str| {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
    };
    let is_named = match (host.strip_prefix('*'), address(host)) {
        (Some(domain), _) => asked_name.ends_with(domain),
        (None, Some(named)) => address(&asked_name) == Some(named),
        (None, None) => asked_name == host,
    };
    assert!(is_named, "{shown} {asked}");
}

fn of_namespace(grant: &str, granted: &NamespaceGrant, namespace: &str) {
    if !covers_namespace(granted, namespace) {
        return;
    }
    let (database, collection) = namespace.split_once('.').unwrap_or((namespace, ""));
    let is_own = ["admin", "config", "local", "gtm"].contains(&database) || collection.starts_with("system.");
    if is_own {
        // Only by its name, up to the `system.` at least.
        let named = grant.split('*').next().unwrap_or_default();
        assert!(
            named == namespace || (named.starts_with(&format!("{database}."))),
            "{grant} covers {namespace}"
        );
    }
}
