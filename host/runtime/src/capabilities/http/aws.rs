//! Signs requests for AWS, by Signature Version 4: <https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html>.

use std::fmt;
use std::time::SystemTime;

use hmac::{Hmac, KeyInit, Mac};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode, utf8_percent_encode};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::credentials::{Credentials, InvalidCredentials};
use super::request::Invalid;
use crate::secret::Secret;

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const BODY_DIGEST: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// The headers that the host sets on a signed request. `host` is set on every request.
pub(super) const SIGNATURE_HEADERS: [HeaderName; 4] = [AUTHORIZATION, DATE, BODY_DIGEST, TOKEN];

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The service whose paths are signed as they are. Those of all others are encoded twice.
const S3: &str = "s3";

/// The characters that are encoded in a query: all but those that RFC 3986 does not reserve.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The characters that are encoded in a path.
const RESERVED_IN_PATHS: &AsciiSet = &RESERVED.remove(b'/');

/// The credentials with which the host signs requests to a service of AWS.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table with region, service, access_key, secret_key and session_token"
)]
pub struct AwsSignature {
    /// The region of the service: `eu-central-1`.
    region: ScopePart,
    /// The name of the service in signatures: `es` for OpenSearch, `aoss` for its serverless form, `s3`.
    service: ScopePart,
    access_key: Secret,
    secret_key: Secret,
    /// The token of temporary credentials.
    session_token: Option<Secret>,
}

/// A part of the scope of a signature, which separates them with slashes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct ScopePart(String);

impl TryFrom<String> for ScopePart {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        match !text.is_empty() && text.bytes().all(is_valid) {
            true => Ok(Self(text)),
            false => Err(format!(
                "\"{text}\" is not a valid region or service: write it in lowercase letters, digits and hyphens, like eu-central-1"
            )),
        }
    }
}

impl AwsSignature {
    /// Returns the secrets.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        [&self.access_key, &self.secret_key].into_iter().chain(&self.session_token)
    }

    /// Returns the secrets, to be changed.
    pub(super) fn secrets_mut(&mut self) -> impl Iterator<Item = &mut Secret> {
        [&mut self.access_key, &mut self.secret_key].into_iter().chain(&mut self.session_token)
    }

    /// Reads the credentials, which may be in files.
    ///
    /// # Errors
    /// One is missing or not valid.
    pub(super) fn read(&self) -> Result<Credentials, InvalidCredentials> {
        let read = |name, secret: &Secret| {
            let value = secret.read().map_err(|reason| InvalidCredentials::Secret { name, reason })?;
            // The key and the token become a part of a header.
            match HeaderValue::from_str(&value) {
                Ok(mut header) => {
                    header.set_sensitive(true);
                    Ok((value, header))
                }
                Err(_) => Err(InvalidCredentials::Header { name }),
            }
        };
        let (access_key, _) = read("access_key", &self.access_key)?;
        let (secret_key, _) = read("secret_key", &self.secret_key)?;
        let token = self.session_token.as_ref().map(|token| read("session_token", token)).transpose()?;
        Ok(Credentials { access_key, secret_key, session_token: token.map(|(_, token)| token) })
    }

    /// Signs a request with this body at this time, by the host's clock. It sets `host` and the [`SIGNATURE_HEADERS`].
    ///
    /// # Errors
    /// The request has too many headers.
    pub(super) fn sign(
        &self,
        credentials: &Credentials,
        request: &mut Parts,
        body: &[u8],
        now: SystemTime,
    ) -> Result<(), Invalid> {
        let time: String = humantime::format_rfc3339_seconds(now)
            .to_string()
            .chars()
            .filter(|character| !matches!(character, '-' | ':'))
            .collect();
        let digest = hex::encode(Sha256::digest(body));
        set(&mut request.headers, HOST, &host(&request.uri))?;
        set(&mut request.headers, DATE, &time)?;
        set(&mut request.headers, BODY_DIGEST, &digest)?;
        if let Some(token) = &credentials.session_token {
            request.headers.try_insert(TOKEN, token.clone())?;
        }
        let (signed_headers, canonical) = self.canonical(request, &digest);
        let date = time.split('T').next().unwrap_or_default();
        let scope = format!("{date}/{}/{}/aws4_request", self.region.0, self.service.0);
        let text = format!("{ALGORITHM}\n{time}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
        // The key of the signature belongs to the date, the region and the service.
        let secret = format!("AWS4{}", credentials.secret_key);
        let key = scope.split('/').fold(secret.into_bytes(), |key, part| hmac(&key, part));
        let signature = hex::encode(hmac(&key, &text));
        let authorization = format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders={signed_headers}, Signature={signature}",
            credentials.access_key
        );
        set(&mut request.headers, AUTHORIZATION, &authorization)
    }

    /// Returns the names of the headers that are signed, and the request in the form that is signed.
    fn canonical(&self, request: &Parts, digest: &str) -> (String, Vec<u8>) {
        let mut names: Vec<_> = request.headers.keys().filter(|name| is_signed(name)).collect();
        names.sort_unstable_by_key(|name| name.as_str());
        let signed_headers = names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(";");
        let path = self.canonical_path(request.uri.path());
        let query = canonical_query(request.uri.query().unwrap_or_default());
        let mut canonical = format!("{}\n{path}\n{query}\n", request.method).into_bytes();
        for name in names {
            canonical.extend_from_slice(name.as_str().as_bytes());
            canonical.push(b':');
            for (number, value) in request.headers.get_all(name).iter().enumerate() {
                canonical.extend_from_slice(if number > 0 { b"," } else { b"" });
                canonical.extend_from_slice(&words(value.as_bytes()).join(&b' '));
            }
            canonical.push(b'\n');
        }
        canonical.extend_from_slice(format!("\n{signed_headers}\n{digest}").as_bytes());
        (signed_headers, canonical)
    }

    fn canonical_path(&self, path: &str) -> String {
        if self.service.0 == S3 {
            let decoded: Vec<_> = percent_decode_str(path).collect();
            return percent_encode(&decoded, RESERVED_IN_PATHS).to_string();
        }
        let mut segments = Vec::new();
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            match segment {
                "." => {}
                ".." => {
                    segments.pop();
                }
                other => segments.push(other),
            }
        }
        let end = if path.ends_with('/') && !segments.is_empty() { "/" } else { "" };
        let path = format!("/{}{end}", segments.join("/"));
        utf8_percent_encode(&path, RESERVED_IN_PATHS).to_string()
    }
}

impl fmt::Display for AwsSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "signed for {} in {}", self.service.0, self.region.0)
    }
}

/// Returns whether a header is signed. Others may be changed on the way.
fn is_signed(name: &HeaderName) -> bool {
    [HOST, CONTENT_TYPE].contains(name) || name.as_str().starts_with("x-amz-")
}

/// Returns the server as the header `host` names it: with the port, unless that is the usual one of the scheme.
fn host(uri: &Uri) -> String {
    let usual = if uri.scheme() == Some(&Scheme::HTTP) { 80 } else { 443 };
    let host = uri.host().unwrap_or_default();
    match uri.port_u16().filter(|port| *port != usual) {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Returns the names and values of a query in their order, each encoded in the one form that is signed.
fn canonical_query(query: &str) -> String {
    let recoded = |text: &str| {
        let text = text.replace('+', " ");
        let decoded: Vec<_> = percent_decode_str(&text).collect();
        percent_encode(&decoded, RESERVED).to_string()
    };
    let mut pairs: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (recoded(name), recoded(value)))
        .collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// Returns the words of a header's value, between which one space is signed.
fn words(value: &[u8]) -> Vec<&[u8]> {
    value.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty()).collect()
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<(), Invalid> {
    let mut value =
        HeaderValue::from_str(value).map_err(|error| Invalid::HeaderValue(name.clone(), error))?;
    value.set_sensitive(name == AUTHORIZATION);
    headers.try_insert(name, value)?;
    Ok(())
}

/// Returns the HMAC by SHA-256, for which a key of any length is valid.
fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mac| mac.chain_update(text).finalize().into_bytes().to_vec())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Request;

    use super::*;

    fn signature(service: &str, token: Option<&str>) -> AwsSignature {
        AwsSignature {
            region: ScopePart("us-east-1".to_owned()),
            service: ScopePart(service.to_owned()),
            access_key: Secret::Value("AKIAIOSFODNN7EXAMPLE".to_owned()),
            secret_key: Secret::Value("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()),
            session_token: token.map(|token| Secret::Value(token.to_owned())),
        }
    }

    fn sign(signature: &AwsSignature, request: &mut Parts, body: &[u8], time: SystemTime) {
        signature.sign(&signature.read().unwrap(), request, body, time).unwrap();
    }

    fn parts(url: &str) -> Parts {
        Request::get(url).body(()).unwrap().into_parts().0
    }

    /// The examples that AWS publishes for S3: "Signature Calculations for the Authorization Header".
    #[test]
    fn the_published_examples_have_their_signatures() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        for (query, expected) in [
            ("lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
            ("max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        ] {
            let mut request = parts(&format!("https://examplebucket.s3.amazonaws.com/?{query}"));
            sign(&signature(S3, None), &mut request, b"", time);
            assert_eq!(
                request.headers[AUTHORIZATION],
                format!(
                    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
                     SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={expected}"
                )
            );
            assert_eq!(request.headers[DATE], "20130524T000000Z");
        }
    }

    #[test]
    fn a_path_is_signed_in_one_form() {
        for (path, signed, of_s3) in [
            ("/", "/", "/"),
            ("/a/./b/../c//d/", "/a/c/d/", "/a/./b/../c//d/"),
            ("/shop.orders/_doc/a%2Fb", "/shop.orders/_doc/a%252Fb", "/shop.orders/_doc/a/b"),
            ("/a*,b/_search", "/a%2A%2Cb/_search", "/a%2A%2Cb/_search"),
            ("/../..", "/", "/../.."),
        ] {
            assert_eq!(signature("es", None).canonical_path(path), signed);
            assert_eq!(signature(S3, None).canonical_path(path), of_s3);
        }
    }

    #[test]
    fn a_query_is_signed_in_one_form() {
        for (query, signed) in [
            ("", ""),
            ("pretty", "pretty="),
            ("b=2&a=x:y&a=1", "a=1&a=x%3Ay&b=2"),
            ("q=a+b&filter_path=hits.*,x", "filter_path=hits.%2A%2Cx&q=a%20b"),
            ("q=%7e%2f=", "q=~%2F%3D"),
        ] {
            assert_eq!(canonical_query(query), signed);
        }
    }

    #[test]
    fn the_signature_covers_the_host_the_content_type_and_all_headers_of_aws() {
        let mut request = parts("http://localhost:9200/");
        for (name, value) in [("content-type", " a/b;  c "), ("user-agent", "x"), ("x-amz-target", "y")] {
            request.headers.try_append(name, HeaderValue::from_static(value)).unwrap();
        }
        request.headers.try_append("x-amz-target", HeaderValue::from_static("z")).unwrap();
        sign(&signature("es", Some("token")), &mut request, b"{}", SystemTime::now());
        let authorization = request.headers[AUTHORIZATION].to_str().unwrap();
        let signed = "SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token;x-amz-target,";
        assert!(authorization.contains(signed), "{authorization}");
        let (_, canonical) = signature("es", None).canonical(&request, "0");
        let canonical = String::from_utf8(canonical).unwrap();
        assert!(canonical.contains("\ncontent-type:a/b; c\nhost:localhost:9200\n"), "{canonical}");
        assert!(canonical.contains("\nx-amz-security-token:token\nx-amz-target:y,z\n"), "{canonical}");
        assert!(request.headers[TOKEN].is_sensitive() && request.headers[AUTHORIZATION].is_sensitive());
    }

    #[test]
    fn credentials_are_not_shown() {
        let shown = format!("{:?} {}", signature("es", Some("t0ken")), signature("es", None));
        assert!(!["AKIA", "wJalr", "t0ken"].iter().any(|secret| shown.contains(secret)), "{shown}");
        assert!(shown.ends_with("signed for es in us-east-1"), "{shown}");
    }
}
