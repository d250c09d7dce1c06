//! Servers to which a plugin may send requests.

use std::fmt;
use std::str::FromStr;

use http::uri::Scheme;
use http::{HeaderName, HeaderValue, Method, Uri};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::super::host_pattern::HostPattern;
use super::aws::{AwsSignature, SIGNATURE_HEADERS};
use super::path::{PathPattern, is_ambiguous};
use crate::secret::{Secret, server};

/// A server to which a plugin may send requests, or all servers of a domain.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpGrant {
    /// The scheme. None: https.
    scheme: Option<Scheme>,
    host: HostPattern,
    /// The port. None: that of the scheme.
    port: Option<u16>,
    /// Whether its addresses may belong to a private network, this machine, or this link. They always may if the grant names the address
    /// itself, or `localhost`.
    pub private: bool,
    /// The methods of requests. None: all.
    pub methods: Vec<Method>,
    /// The paths of requests. None: all.
    pub paths: Vec<PathPattern>,
    /// The headers that the host adds to each request. The plugin does not see them.
    pub headers: Vec<(HeaderName, Secret)>,
    /// How the host signs each request. None: it signs none. The plugin does not see the credentials.
    pub aws_sigv4: Option<AwsSignature>,
}

/// The text does not name a server.
#[derive(Debug, thiserror::Error)]
#[error(
    "\"{shown}\" names no server: a grant of http is like api.example.com (by https), http://localhost:8983, https://*.example.com:8443, \
     or * for every public server, without user and password; with methods before it and a path after it, only these: \
     GET,POST https://api.example.com/orders/*",
    shown = server(.0)
)]
pub struct InvalidHttpGrant(String);

impl FromStr for HttpGrant {
    type Err = InvalidHttpGrant;

    fn from_str(text: &str) -> Result<Self, InvalidHttpGrant> {
        Self::parse(text).ok_or_else(|| InvalidHttpGrant(text.to_owned()))
    }
}

impl HttpGrant {
    /// Returns the grant of every server.
    pub(super) fn anything() -> Self {
        Self {
            scheme: None,
            host: HostPattern::Anything,
            port: None,
            private: true,
            methods: Vec::new(),
            paths: Vec::new(),
            headers: Vec::new(),
            aws_sigv4: None,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (methods, text) = match text.split_once(' ') {
            Some((methods, text)) => (methods.split(',').map(method).collect::<Option<_>>()?, text),
            None => (Vec::new(), text),
        };
        let (scheme, rest) = match text.split_once("://") {
            Some(("https", rest)) => (Some(Scheme::HTTPS), rest),
            Some(("http", rest)) => (Some(Scheme::HTTP), rest),
            Some(_) => return None,
            None => (None, text),
        };
        let (rest, paths) = match rest.split_once('/') {
            None | Some((_, "")) => (rest.strip_suffix('/').unwrap_or(rest), Vec::new()),
            Some((rest, path)) => (rest, vec![PathPattern::new(&format!("/{path}")).ok()?]),
        };
        let authority: http::uri::Authority = match rest.strip_prefix('*') {
            // A host name contains no star.
            Some(rest) => format!("star{rest}").parse().ok()?,
            None => rest.parse().ok()?,
        };
        if authority.as_str().contains('@') || authority.host().contains('*') {
            return None;
        }
        let host = match rest.strip_prefix('*') {
            Some(_) => format!("*{}", authority.host().strip_prefix("star").unwrap_or_default()),
            None => authority.host().to_owned(),
        };
        // The http crate accepts brackets, dots and other characters anywhere.
        let host = HostPattern::parse(&host)?;
        let port = authority.port_u16();
        // An invalid port is not ignored.
        if authority.port().is_none() && rest.rsplit(']').next().is_some_and(|end| end.contains(':')) {
            return None;
        }
        let (private, headers, aws_sigv4) = (false, Vec::new(), None);
        Some(Self { scheme, host, port, private, methods, paths, headers, aws_sigv4 })
    }

    /// Returns the secrets that the host adds to requests, or signs them with.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let headers = self.headers.iter().map(|(_, secret)| secret);
        headers.chain(self.aws_sigv4.iter().flat_map(AwsSignature::secrets))
    }

    /// Returns the same secrets, to be changed.
    pub fn secrets_mut(&mut self) -> impl Iterator<Item = &mut Secret> {
        let headers = self.headers.iter_mut().map(|(_, secret)| secret);
        headers.chain(self.aws_sigv4.iter_mut().flat_map(AwsSignature::secrets_mut))
    }

    /// Returns the names of the headers that the host sets on each request. A plugin cannot set them.
    pub(super) fn added_names(&self) -> impl Iterator<Item = HeaderName> {
        let signature = self.aws_sigv4.is_some().then_some(SIGNATURE_HEADERS);
        self.headers.iter().map(|(name, _)| name.clone()).chain(signature.into_iter().flatten())
    }

    /// Returns whether a request to this URI with this method is granted.
    pub(crate) fn covers(&self, method: &Method, uri: &Uri) -> bool {
        let is_method = self.methods.is_empty() || self.methods.contains(method);
        let is_path = self.paths.is_empty() || self.paths.iter().any(|path| path.is_match(uri.path()));
        is_method && is_path && self.covers_server(uri)
    }

    /// Returns whether a request to this URI with this method is refused because its path is ambiguous: no grant of paths covers such a
    /// path.
    pub(crate) fn refuses_path(&self, method: &Method, uri: &Uri) -> bool {
        let is_method = self.methods.is_empty() || self.methods.contains(method);
        is_method && !self.paths.is_empty() && is_ambiguous(uri.path()) && self.covers_server(uri)
    }

    /// Returns whether the grant covers the server of this URI.
    pub(crate) fn covers_server(&self, uri: &Uri) -> bool {
        if self.host == HostPattern::Anything {
            return true;
        }
        let scheme = uri.scheme().cloned().unwrap_or(Scheme::HTTPS);
        let is_by_scheme = *self.scheme.as_ref().unwrap_or(&Scheme::HTTPS) == scheme;
        let usual = if scheme == Scheme::HTTP { 80 } else { 443 };
        let is_port = uri.port_u16().unwrap_or(usual) == self.port.unwrap_or(usual);
        is_by_scheme && is_port && uri.host().is_some_and(|host| self.host.names(host))
    }

    /// Returns whether the server may have an address that is not public.
    pub(crate) fn allows_private(&self) -> bool {
        self.private || self.host.names_private()
    }
}

/// Parses a method in uppercase, as methods are registered.
fn method(name: &str) -> Option<Method> {
    let is_usual = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    name.parse().ok().filter(|_| is_usual)
}

impl fmt::Display for HttpGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_ref().unwrap_or(&Scheme::HTTPS), self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        if !self.methods.is_empty() {
            let methods: Vec<_> = self.methods.iter().map(Method::as_str).collect();
            write!(f, " (only {})", methods.join(", "))?;
        }
        if !self.paths.is_empty() {
            let paths: Vec<_> = self.paths.iter().map(ToString::to_string).collect();
            write!(f, " (only at {})", paths.join(", "))?;
        }
        if self.private {
            f.write_str(" (private addresses too)")?;
        }
        if !self.headers.is_empty() {
            let names: Vec<_> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
            write!(f, " (with {})", names.join(", "))?;
        }
        if let Some(signature) = &self.aws_sigv4 {
            write!(f, " ({signature})")?;
        }
        Ok(())
    }
}

/// A text, or a table with the server as its `url`.
impl<'de> Deserialize<'de> for HttpGrant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct HttpGrantTable {
            url: String,
            #[serde(default)]
            private: bool,
            methods: Option<Vec<String>>,
            paths: Option<Vec<PathPattern>>,
            #[serde(default)]
            headers: std::collections::BTreeMap<String, Secret>,
            aws_sigv4: Option<AwsSignature>,
        }

        struct TextOrTable;

        impl<'de> Visitor<'de> for TextOrTable {
            type Value = HttpGrant;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a server like \"https://api.example.com\", or a table with its url, methods, paths, private, headers and aws_sigv4",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<HttpGrant, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<HttpGrant, A::Error> {
                let HttpGrantTable { url, private, methods, paths, headers, aws_sigv4 } =
                    HttpGrantTable::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let mut grant: HttpGrant = url.parse().map_err(de::Error::custom)?;
                if methods.as_ref().is_some_and(Vec::is_empty) || paths.as_ref().is_some_and(Vec::is_empty) {
                    return Err(de::Error::custom(
                        "methods and paths name at least one each; without them, all methods or all paths are granted",
                    ));
                }
                if !grant.paths.is_empty() && paths.is_some() {
                    return Err(de::Error::custom(
                        "the paths are in url and in paths: name them in one of the two",
                    ));
                }
                for name in methods.into_iter().flatten() {
                    let invalid = || {
                        de::Error::custom(format!(
                            "\"{name}\" is not a method: write it in uppercase, like GET"
                        ))
                    };
                    grant.methods.push(method(&name).ok_or_else(invalid)?);
                }
                grant.paths.extend(paths.into_iter().flatten());
                let header = |(name, value): (String, Secret)| {
                    let name = name
                        .parse::<HeaderName>()
                        .map_err(|_| de::Error::custom(format!("\"{name}\" is not a valid header name")))?;
                    if let Secret::Value(value) = &value
                        && HeaderValue::from_str(value).is_err()
                    {
                        return Err(de::Error::custom(format!(
                            "the value of {name} is not a valid header value"
                        )));
                    }
                    Ok((name, value))
                };
                let headers = headers.into_iter().map(header).collect::<Result<Vec<_>, A::Error>>()?;
                let is_signature = |(name, _): &&(HeaderName, Secret)| SIGNATURE_HEADERS.contains(name);
                if let (Some(_), Some((name, _))) = (&aws_sigv4, headers.iter().find(is_signature)) {
                    return Err(de::Error::custom(format!(
                        "{name} is in headers, and aws_sigv4 sets it: leave out one of the two"
                    )));
                }
                Ok(HttpGrant { private, headers, aws_sigv4, ..grant })
            }
        }

        deserializer.deserialize_any(TextOrTable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(grant: &str, uri: &str) -> bool {
        grant.parse::<HttpGrant>().unwrap().covers(&Method::GET, &uri.parse().unwrap())
    }

    #[test]
    fn scheme_host_and_port_must_match() {
        assert!(covers("api.example.com", "https://API.example.com./orders?x=1"));
        assert!(covers("https://api.example.com/", "https://api.example.com:443/"));
        assert!(covers("http://localhost:8983", "http://localhost:8983/solr"));
        assert!(covers("https://*.example.com", "https://a.b.example.com/"));
        assert!(covers("*", "https://anything.example/"));
        assert!(covers("http://[::1]:80", "http://[::1]/"));
        assert!(covers("http://127.0.0.1", "http://[::ffff:127.0.0.1]/"), "the same address");
        for (grant, uri) in [
            ("api.example.com", "http://api.example.com/"),
            ("api.example.com", "https://api.example.com:8443/"),
            ("api.example.com", "https://api.example.com.evil.example/"),
            ("https://*.example.com", "https://example.com/"),
            ("https://*.example.com", "https://badexample.com/"),
            ("http://127.0.0.1", "http://127.0.0.2/"),
            ("*", "http://anything.example/"),
        ] {
            assert!(!covers(grant, uri), "{grant} {uri}");
        }
    }

    #[test]
    fn a_grant_without_a_server_is_refused() {
        for text in [
            "",
            "ftp://a.example",
            "http://z[::ffff:127.0.0.1]:80",
            "a b",
            "user@a.example",
            "a.*.example",
            "get https://a.example",
            "GET, https://a.example",
            "a.example/path?query",
            "a.example/a/../b",
            "*example.com",
            "a:port",
            "https://",
            ".",
            "*...",
            "a..example",
            "(",
            "http://.:80",
        ] {
            let said = text.parse::<HttpGrant>().unwrap_err().to_string();
            assert!(said.contains("names no server: a grant of http is like"), "{text}: {said}");
        }
        let said = "https://ada:s3cret@a.example".parse::<HttpGrant>().unwrap_err().to_string();
        assert!(
            said.starts_with("\"https://a.example\" names no server") && said.contains("without user"),
            "{said}"
        );
    }

    #[test]
    fn methods_and_paths_restrict_a_grant_in_both_notations() {
        let text: HttpGrant = "GET,HEAD https://a.example/orders/*".parse().unwrap();
        #[derive(Deserialize)]
        struct HttpGrantRule {
            http: HttpGrant,
        }
        let table: HttpGrantRule = toml::from_str(
            "http = { url = \"https://a.example\", methods = [\"GET\", \"HEAD\"], paths = [\"/orders/*\"] }",
        )
        .unwrap();
        assert_eq!(text, table.http);
        assert_eq!(text.to_string(), "https://a.example (only GET, HEAD) (only at /orders/*)");
        let covers = |method: Method, uri: &str| text.covers(&method, &uri.parse().unwrap());
        assert!(covers(Method::GET, "https://a.example/orders/1?x=/admin"));
        for (method, uri) in [
            (Method::POST, "https://a.example/orders/1"),
            (Method::GET, "https://a.example/"),
            (Method::GET, "https://a.example/admin?/orders/1"),
            (Method::GET, "https://a.example/orders/../admin"),
            (Method::GET, "https://b.example/orders/1"),
        ] {
            assert!(!covers(method, uri), "{uri}");
        }
        for odd in [
            "methods = []",
            "paths = []",
            "methods = [\"get\"]",
            "paths = [\"orders\"]",
            "path = \"/orders\"",
        ] {
            assert!(
                toml::from_str::<HttpGrantRule>(&format!("http = {{ url = \"a.example\", {odd} }}")).is_err(),
                "{odd}"
            );
        }
    }

    #[test]
    fn a_signature_needs_its_credentials_and_sets_its_own_headers() {
        #[derive(Deserialize)]
        struct HttpGrantRule {
            http: HttpGrant,
        }
        let grant = |more: &str| {
            let signature = "aws_sigv4 = { region = \"eu-central-1\", service = \"es\", access_key = \"a\", \
                             secret_key = { env = \"KEY\" }";
            let text = format!("http = {{ url = \"a.example\", {signature}{more} }}");
            toml::from_str::<HttpGrantRule>(&text).map(|rule| rule.http).map_err(|error| error.to_string())
        };
        let plain = grant(" }, headers = { x-key = \"v\" }").unwrap();
        assert_eq!(plain.to_string(), "https://a.example (with x-key) (signed for es in eu-central-1)");
        assert_eq!(plain.secrets().count(), 3);
        let names: Vec<_> = plain.added_names().map(|name| name.to_string()).collect();
        assert_eq!(
            names,
            ["x-key", "authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"]
        );
        assert_eq!(grant(", session_token = { file = \"t\" } }").unwrap().secrets().count(), 3);
        let twice = grant(" }, headers = { authorization = \"v\" }").unwrap_err();
        assert!(twice.contains("authorization is in headers, and aws_sigv4 sets it"), "{twice}");
        assert!(grant(", token = \"t\" }").unwrap_err().contains("unknown field `token`"));
        for scope in ["region = \"\", service = \"es\"", "region = \"eu/x\", service = \"es\""] {
            let text = format!(
                "http = {{ url = \"a.example\", aws_sigv4 = {{ {scope}, access_key = \"a\", secret_key = \"s\" }} }}"
            );
            let Err(error) = toml::from_str::<HttpGrantRule>(&text) else { panic!("{scope}") };
            assert!(error.to_string().contains("is not a valid region or service"), "{error}");
        }
    }

    #[test]
    fn a_named_address_may_be_private() {
        let private = |grant: &str| grant.parse::<HttpGrant>().unwrap().allows_private();
        assert!(private("http://localhost:1") && private("http://10.0.0.1") && private("http://[::1]"));
        assert!(!private("*") && !private("http://solr.internal") && !private("http://*.localhost"));
    }
}
