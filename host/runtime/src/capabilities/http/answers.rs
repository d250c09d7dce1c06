//! Answers to requests that are recorded instead of sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::services::Recorder;

/// The answer of a server to a request that is recorded and not sent.
#[derive(Debug)]
pub struct HttpAnswer {
    method: String,
    /// With a `*` at the end, all URLs with this beginning.
    url: String,
    status: u16,
    headers: HeaderMap,
    body: Bytes,
    is_used: AtomicBool,
}

/// Answers to the requests of plugins whose effects are recorded.
#[derive(Clone, Debug, Default)]
pub(crate) struct HttpAnswers {
    answers: Arc<[HttpAnswer]>,
    /// Whether GET and HEAD requests without an answer are sent.
    sends_reads: bool,
}

impl HttpAnswer {
    /// Returns an answer to `METHOD URL`, or `METHOD URL STATUS`.
    ///
    /// # Errors
    /// The request is not valid.
    pub fn new(request: &str, body: Vec<u8>) -> Result<Self, String> {
        let mut words = request.split_whitespace();
        let (Some(method), Some(url), status, None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(format!(
                "\"{request}\" is not a request: write METHOD URL, as in 'GET https://api.example.com/x', and a \
                                status after it if it is not 200"
            ));
        };
        let status = status.unwrap_or("200");
        let parsed = status.parse().ok().filter(|status| (200..1000).contains(status));
        Ok(Self {
            method: method.to_ascii_uppercase(),
            url: url.to_owned(),
            status: parsed
                .ok_or_else(|| format!("\"{status}\" is not the status of an answer, like 200 or 404"))?,
            headers: HeaderMap::new(),
            body: body.into(),
            is_used: AtomicBool::new(false),
        })
    }

    /// Adds a header, `NAME: VALUE`. Without a `Content-Type`, the body is JSON.
    ///
    /// # Errors
    /// The header is not valid.
    pub fn with_header(mut self, header: &str) -> Result<Self, String> {
        let (name, value) = header.split_once(':').unwrap_or_default();
        let parsed = name.trim().parse::<HeaderName>().ok().zip(value.trim().parse::<HeaderValue>().ok());
        if parsed.is_none_or(|(name, value)| self.headers.try_append(name, value).is_err()) {
            return Err(format!("\"{header}\" is not a header: write NAME: VALUE, as in 'Retry-After: 5'"));
        }
        Ok(self)
    }

    fn matches(&self, method: &str, url: &str) -> bool {
        self.method == method
            && match self.url.strip_suffix('*') {
                Some(start) => url.starts_with(start),
                None => {
                    // The root may be written without its slash.
                    self.url == url
                        || self.url.strip_suffix('/') == Some(url)
                        || url.strip_suffix('/') == Some(&self.url)
                }
            }
    }
}

impl Recorder {
    /// Adds answers to HTTP requests. If several match a request, each is used once, in their order, and then the last one.
    /// `sends_reads`: GET and HEAD requests without an answer are sent.
    #[must_use]
    pub fn answering(mut self, answers: Vec<HttpAnswer>, sends_reads: bool) -> Self {
        self.http = HttpAnswers { answers: answers.into(), sends_reads };
        self
    }
}

impl HttpAnswers {
    /// Returns the answer to a request, if there is one: its status, headers and body.
    pub(super) fn next(&self, method: &str, url: &str) -> Option<(u16, HeaderMap, Bytes)> {
        let matching = || self.answers.iter().filter(|answer| answer.matches(method, url));
        let unused = matching().find(|answer| !answer.is_used.swap(true, Ordering::Relaxed));
        let answer = unused.or_else(|| matching().last())?;
        let mut headers = answer.headers.clone();
        if !headers.contains_key(CONTENT_TYPE) {
            // It fails only for more headers than a user types.
            drop(headers.try_insert(CONTENT_TYPE, HeaderValue::from_static("application/json")));
        }
        Some((answer.status, headers, answer.body.clone()))
    }

    /// Returns whether a request without an answer is sent, as it only reads.
    pub(super) fn sends(&self, method: &str) -> bool {
        self.sends_reads && matches!(method, "GET" | "HEAD")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_used_in_order_and_the_last_one_repeats() {
        let answer = |request: &str, body: &str| HttpAnswer::new(request, body.as_bytes().to_vec()).unwrap();
        let answers = vec![
            answer("GET https://a.example/x", "1"),
            answer("get https://a.example/x 404", "2"),
            answer("POST https://a.example/*", "3"),
        ];
        let answers = Recorder::new(drop).answering(answers, true).http;
        let next = |method, url| {
            answers
                .next(method, url)
                .map(|(status, _, body)| (status, String::from_utf8_lossy(&body).into_owned()))
        };
        assert_eq!(next("GET", "https://a.example/x"), Some((200, "1".to_owned())));
        for _ in 0..2 {
            assert_eq!(next("GET", "https://a.example/x"), Some((404, "2".to_owned())));
            assert_eq!(next("POST", "https://a.example/y?z=1"), Some((200, "3".to_owned())));
        }
        assert_eq!(next("GET", "https://a.example/y"), None);
        assert!(answers.sends("GET") && !answers.sends("POST"));
        for (request, reason) in [
            ("GET", "is not a request"),
            ("GET http://x 20", "is not the status"),
            ("GET http://x 200 y", "not a"),
        ] {
            assert!(HttpAnswer::new(request, Vec::new()).unwrap_err().contains(reason), "{request}");
        }
    }

    #[test]
    fn an_answer_has_its_headers_and_is_json_without_a_type() {
        let answer = || HttpAnswer::new("GET https://a.example/", Vec::new()).unwrap();
        let headers = |answer: HttpAnswer| {
            let answers = Recorder::new(drop).answering(vec![answer], false).http;
            answers.next("GET", "https://a.example/").unwrap().1
        };
        let plain = headers(answer().with_header("Retry-After: 5").unwrap());
        assert_eq!(plain["retry-after"], "5");
        assert_eq!(plain["content-type"], "application/json");
        let typed = headers(answer().with_header("content-type: text/html; charset=utf-8").unwrap());
        assert_eq!(typed["content-type"], "text/html; charset=utf-8");
        for header in ["Retry-After", ": 5", "a b: 5", "a: x\ny"] {
            assert!(answer().with_header(header).is_err(), "{header}");
        }
    }
}
