//! Any method, URL and headers, apart by tabs, taken as a request of a plugin: what is built is one request, for the server of its URL,
//! and the host alone says where it ends.

use gtm_runtime::fuzzing::request;

/// What a plugin may not say.
const FORBIDDEN: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub fn run(bytes: &[u8]) {
    let mut parts = bytes.split(|byte| *byte == b'\t');
    let (method, url) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let (Ok(method), Ok(url)) = (std::str::from_utf8(method), std::str::from_utf8(url)) else { return };
    let parts: Vec<_> = parts.collect();
    let headers = parts.chunks_exact(2).filter_map(|pair| match pair {
        [name, value] => std::str::from_utf8(name).ok().map(|name| (name, *value)),
        _ => None,
    });
    let headers: Vec<_> = headers.collect();
    let Some((built, server)) = request(method, url, &headers) else { return };
    assert!(matches!(built.uri().scheme_str(), Some("http" | "https")));
    assert!(!["CONNECT", "TRACE"].contains(&built.method().as_str()));
    assert!(!server.contains(['@', '\r', '\n', ' ']), "{server:?}");
    let line = format!("{} {}", built.method(), built.uri());
    assert!(!line.contains(char::is_control) && line.split(' ').count() == 2, "{line:?}");
    assert!(built.headers().len() <= 100);
    let mut size = 0;
    for (name, value) in built.headers() {
        assert!(!FORBIDDEN.contains(&name.as_str()) && name != "x-secret", "{name}");
        assert!(!value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "{value:?}");
        size += name.as_str().len() + value.len();
    }
    assert!(size <= 64 << 10, "{size}");
}
