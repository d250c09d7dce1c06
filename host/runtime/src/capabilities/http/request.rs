//! Builds the requests of plugins, for both interfaces.

use std::fmt;

use bytes::Bytes;
use http::header::{
    CONTENT_LENGTH, EXPECT, InvalidHeaderName, InvalidHeaderValue, MaxSizeReached, TE, TRAILER,
};
use http::method::InvalidMethod;
use http::uri::InvalidUri;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Empty, Full, LengthLimitError, Limited};
use wasmtime_wasi_http::{DEFAULT_FORBIDDEN_HEADERS, Error, WasiBody};

use crate::call::cut;
use crate::secret::server;

/// Headers of a request of a plugin.
pub(super) const MAX_HEADERS: usize = 100;
/// Bytes of their names and values.
pub(super) const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Bytes of the name of a method. The longest registered one has 17.
pub(super) const MAX_METHOD_BYTES: usize = 32;

/// Returns whether a header sets where a request ends, its server, or the use of its connection. Only the host may set that: otherwise, a
/// server could take a part of a request for another request, or answer for another virtual host than the granted one.
pub(super) fn is_forbidden(name: &HeaderName) -> bool {
    DEFAULT_FORBIDDEN_HEADERS.contains(name) || [CONTENT_LENGTH, EXPECT, TE, TRAILER].contains(name)
}

/// The method and the URI of a request. They are permitted before the rest of the request is read.
#[derive(Debug)]
pub(super) struct RequestHead {
    pub(super) method: Method,
    pub(super) uri: Uri,
}

/// The body of a request.
pub(super) enum Body {
    /// All of it.
    Whole(Vec<u8>),
    /// A stream, with the length if the plugin declares it, which the stream must have.
    Streamed(WasiBody, Option<u64>),
    None,
}

/// Why a request cannot be built.
#[derive(Debug, thiserror::Error)]
pub(super) enum Invalid {
    #[error("\"{0}\" is not a valid URL: {1}")]
    Url(String, InvalidUri),
    #[error("\"{0}\" is not a valid URL: it begins with http:// or https://")]
    Scheme(String),
    #[error("\"{0}\" is not a valid method: {1}")]
    Method(String, InvalidMethod),
    #[error("plugins cannot use the method {0}")]
    ForbiddenMethod(String),
    #[error("the header \"{0}\" cannot be sent: {1}")]
    HeaderName(String, InvalidHeaderName),
    #[error("the header \"{0}\" cannot be sent: {1}")]
    HeaderValue(HeaderName, InvalidHeaderValue),
    #[error("the header {0} is set by the host. help: leave it out of the request")]
    ForbiddenHeader(HeaderName),
    #[error("the header content-length is not one number. help: leave it out")]
    Length,
    #[error("the request has too many headers: at most {MAX_HEADERS} can be sent")]
    ManyHeaders,
    #[error("the headers of the request are too large: at most {} KiB can be sent", MAX_HEADER_BYTES >> 10)]
    LargeHeaders,
}

impl From<MaxSizeReached> for Invalid {
    fn from(_: MaxSizeReached) -> Self {
        Self::ManyHeaders
    }
}

impl RequestHead {
    pub(super) fn parse(method: &str, url: &str) -> Result<Self, Invalid> {
        let uri: Uri = url.parse().map_err(|error| Invalid::Url(cut(&server(url)).into_owned(), error))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(Invalid::Scheme(cut(&server(url)).into_owned()));
        }
        let method = method.parse().map_err(|error| Invalid::Method(cut(method).into_owned(), error))?;
        Ok(Self { method, uri })
    }

    /// Returns the server for messages. The rest of a URI may be secret, above all a user and password.
    pub(super) fn server(&self) -> GrantedServer<'_> {
        GrantedServer(&self.uri)
    }

    /// Builds the request, to which the host will add the headers with the names `added`. Its `Host` is derived from the URI when it is
    /// sent.
    pub(super) fn build<'a>(
        self,
        headers: impl Iterator<Item = (&'a str, &'a [u8])>,
        body: Body,
        added: &[HeaderName],
    ) -> Result<Request<WasiBody>, Invalid> {
        let Self { method, uri } = self;
        // CONNECT turns the connection into a tunnel, and the response to TRACE repeats the headers that the host added.
        if [Method::CONNECT, Method::TRACE].contains(&method) || method.as_str().len() > MAX_METHOD_BYTES {
            return Err(Invalid::ForbiddenMethod(cut(method.as_str()).into_owned()));
        }
        let mut map = HeaderMap::new();
        let (mut count, mut room) = (0, MAX_HEADER_BYTES);
        for (name, value) in headers {
            count += 1;
            if count > MAX_HEADERS {
                return Err(Invalid::ManyHeaders);
            }
            room = room.checked_sub(name.len() + value.len()).ok_or(Invalid::LargeHeaders)?;
            let name = name
                .parse::<HeaderName>()
                .map_err(|error| Invalid::HeaderName(cut(name).into_owned(), error))?;
            if is_forbidden(&name) || added.contains(&name) {
                return Err(Invalid::ForbiddenHeader(name));
            }
            let value =
                HeaderValue::from_bytes(value).map_err(|error| Invalid::HeaderValue(name.clone(), error))?;
            map.try_append(name, value)?;
        }
        let body = match body {
            Body::Whole(body) => whole(Bytes::from(body)),
            Body::None => Empty::new().map_err(|never| match never {}).boxed_unsync(),
            Body::Streamed(body, length) => {
                if let Some(length) = length {
                    map.try_append(CONTENT_LENGTH, HeaderValue::from(length))?;
                }
                body
            }
        };
        let mut request = Request::new(body);
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, uri, map);
        Ok(request)
    }
}

/// Returns all of a body with at most this many bytes.
pub(super) async fn collected(body: WasiBody, most: usize) -> Result<Bytes, Error> {
    let body = Limited::new(body, most).collect().await.map_err(|error| match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(error) if error.is::<LengthLimitError>() => Error::HttpRequestBodySize(u64::try_from(most).ok()),
        Err(error) => Error::InternalError(Some(error.to_string())),
    })?;
    Ok(body.to_bytes())
}

/// Returns a body with these bytes.
pub(super) fn whole(body: Bytes) -> WasiBody {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}

/// Removes the length that a plugin declares from its headers and returns it. The host writes the header itself.
pub(super) fn take_length(headers: &mut HeaderMap) -> Result<Option<u64>, Invalid> {
    let length = |value: &HeaderValue| {
        let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|digits| digits.parse().ok()).ok_or(Invalid::Length)
    };
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let length = match (lengths.next(), lengths.next()) {
        (None, _) => None,
        (Some(one), None) => Some(length(one)?),
        (Some(_), Some(_)) => return Err(Invalid::Length),
    };
    headers.remove(CONTENT_LENGTH);
    Ok(length)
}

/// Displays the server of a URI as a grant names it.
pub(super) struct GrantedServer<'a>(&'a Uri);

impl fmt::Display for GrantedServer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme_str().unwrap_or("https"), self.0.host().unwrap_or_default())?;
        match self.0.port_u16() {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(headers: &[(&str, &[u8])]) -> Result<Request<WasiBody>, String> {
        let added = [HeaderName::from_static("x-api-key")];
        let head = RequestHead::parse("POST", "https://name:password@api.example.com:8443/x?y=z").unwrap();
        head.build(headers.iter().copied(), Body::Whole(b"body".to_vec()), &added)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn only_the_host_sets_the_length_and_the_server_of_a_request() {
        for name in [
            "Host",
            "Connection",
            "Keep-Alive",
            "Proxy-Authorization",
            "Proxy-Connection",
            "Transfer-Encoding",
            "Content-Length",
            "Upgrade",
            "Expect",
            "Trailer",
            "HTTP2-Settings",
            "X-Api-Key",
        ] {
            let refused = built(&[("accept", b"*/*"), (name, b"x")]).unwrap_err();
            let name = name.to_ascii_lowercase();
            assert_eq!(
                refused,
                format!("the header {name} is set by the host. help: leave it out of the request")
            );
        }
        for method in ["CONNECT", "TRACE", &"A".repeat(33)] {
            let head = RequestHead::parse(method, "https://api.example.com/").unwrap();
            let refused = head.build(std::iter::empty(), Body::None, &[]).unwrap_err().to_string();
            assert_eq!(refused, format!("plugins cannot use the method {method}"));
        }
    }

    #[test]
    fn the_host_writes_the_length_of_a_body_itself() {
        let taken = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            values.iter().for_each(|value| {
                headers.try_append(CONTENT_LENGTH, HeaderValue::from_static(value)).unwrap();
            });
            let length = take_length(&mut headers).map_err(|error| error.to_string());
            length.inspect(|_| assert!(headers.is_empty()))
        };
        assert_eq!(taken(&[]), Ok(None));
        assert_eq!(taken(&["17"]), Ok(Some(17)));
        for odd in [&["5", "5"][..], &["5, 6"], &["+5"], &["-1"], &[""], &["0x5"], &["99999999999999999999"]]
        {
            let said = taken(odd).unwrap_err();
            assert!(said.contains("is not one number"), "{odd:?}: {said}");
        }
        let head = RequestHead::parse("POST", "http://a.example/").unwrap();
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let built = head.build(std::iter::empty(), Body::Streamed(body, Some(7)), &[]).unwrap();
        assert_eq!(built.headers()[CONTENT_LENGTH], "7");
    }

    #[test]
    fn headers_are_bounded_in_number_and_size() {
        let many = |count: usize| {
            let names: Vec<_> = (0..count).map(|n| format!("x-{n}")).collect();
            built(&names.iter().map(|name| (name.as_str(), &b"v"[..])).collect::<Vec<_>>())
        };
        assert_eq!(many(MAX_HEADERS).unwrap().headers().len(), MAX_HEADERS);
        // A map with more than 32,768 headers panics.
        for count in [MAX_HEADERS + 1, 40_000] {
            assert_eq!(many(count).unwrap_err(), "the request has too many headers: at most 100 can be sent");
        }
        let large = |bytes: usize| built(&[("x", &vec![b'v'; bytes - 1])]);
        assert!(large(MAX_HEADER_BYTES).is_ok());
        assert_eq!(
            large(MAX_HEADER_BYTES + 1).unwrap_err(),
            "the headers of the request are too large: at most 64 KiB can be sent"
        );
        // The same name each time.
        assert_eq!(built(&[("a", b"1"), ("a", b"2")]).unwrap().headers().len(), 2);
    }

    #[test]
    fn a_header_that_would_be_two_is_refused() {
        for (name, value) in [("a: b\r\nc", &b"d"[..]), ("a", b"b\r\nhost: evil"), ("a", b"b\0"), ("", b"")] {
            assert!(built(&[(name, value)]).unwrap_err().contains("cannot be sent: "), "{name}");
        }
    }

    #[test]
    fn a_server_is_shown_without_the_rest_of_its_uri() {
        let head = RequestHead::parse("GET", "https://name:password@api.example.com:8443/x?y=z").unwrap();
        assert_eq!(head.server().to_string(), "https://api.example.com:8443");
        assert_eq!(RequestHead::parse("GET", "http://[::1]/").unwrap().server().to_string(), "http://[::1]");
    }

    #[test]
    fn a_refusal_names_no_password() {
        for url in
            ["ftp://ada:s3cret@api.example.com/", "https://ada:s3cret@api example.com/", "ada:s3cret@a/b"]
        {
            let Err(said) = RequestHead::parse("GET", url) else { panic!("{url}") };
            assert!(!said.to_string().contains("s3cret"), "{said}");
        }
    }
}
