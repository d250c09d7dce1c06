//! The two text formats in which Prometheus reads metrics.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// A text format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextFormat {
    /// Prometheus' own format, version 0.0.4, which every tool reads.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

const OPENMETRICS: &str = "application/openmetrics-text";
/// The other media ranges that a client may accept. The first one that it names counts.
const PLAIN: [&str; 3] = ["text/plain", "text/*", "*/*"];

impl TextFormat {
    /// Returns the format that these headers ask for: OpenMetrics if the client names it and prefers no other.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let accepted: Vec<(&str, f32)> = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(media_range)
            .collect();
        let quality = |name: &str| {
            let named = accepted.iter().filter(|(range, _)| range.eq_ignore_ascii_case(name));
            named.map(|(_, quality)| *quality).reduce(f32::max)
        };
        let plain = PLAIN.into_iter().find_map(quality).unwrap_or_default();
        match quality(OPENMETRICS) {
            Some(openmetrics) if openmetrics > 0.0 && openmetrics >= plain => Self::OpenMetrics,
            _ => Self::Prometheus,
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Converts metrics in OpenMetrics to this format.
    pub(super) fn of(self, openmetrics: String) -> String {
        match self {
            Self::OpenMetrics => openmetrics,
            Self::Prometheus => to_prometheus(&openmetrics),
        }
    }
}

/// Returns the type of `type;parameters` and its quality, which is 1 by default.
fn media_range(range: &str) -> (&str, f32) {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let quality = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.trim() == "q");
    (name, quality.and_then(|(_, quality)| quality.trim().parse().ok()).unwrap_or(1.0))
}

/// Converts OpenMetrics to Prometheus' own format. The samples are the same. A family of counters has `_total` in its name, there are no
/// families of infos, and nothing marks the end.
fn to_prometheus(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut help = "";
    for line in openmetrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                kind => ("", kind),
            };
            for part in ["# HELP ", name, suffix, " ", help, "\n# TYPE ", name, suffix, " ", kind, "\n"] {
                text.push_str(part);
            }
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_chooses_the_format() {
        let accepted = |accept: &str| {
            let headers = [(ACCEPT, accept.parse().unwrap())].into_iter().collect();
            TextFormat::accepted(&headers)
        };
        assert_eq!(TextFormat::accepted(&HeaderMap::new()), TextFormat::Prometheus);
        // The headers of Prometheus 2 and 3, curl and a browser.
        for openmetrics in [
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;q=0.4,*/*;q=0.2",
            "Application/OpenMetrics-Text",
        ] {
            assert_eq!(accepted(openmetrics), TextFormat::OpenMetrics, "{openmetrics}");
        }
        for plain in [
            "*/*",
            "text/plain",
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text; q=0.5, text/plain; version=0.0.4; q=0.7",
        ] {
            assert_eq!(accepted(plain), TextFormat::Prometheus, "{plain}");
        }
    }

    #[test]
    fn counters_and_infos_have_their_full_names_in_prometheus_own_format() {
        let openmetrics = "# HELP a What a is.\n# TYPE a counter\na_total{x=\"# 1\"} 1\n# HELP b What b is.\n# TYPE b info\n\
            b_info{v=\"1\"} 1\n# HELP c_seconds What c is.\n# TYPE c_seconds gauge\n# UNIT c_seconds seconds\nc_seconds 2\n# EOF\n";
        let prometheus = "# HELP a_total What a is.\n# TYPE a_total counter\na_total{x=\"# 1\"} 1\n# HELP b_info What b is.\n\
            # TYPE b_info gauge\nb_info{v=\"1\"} 1\n# HELP c_seconds What c is.\n# TYPE c_seconds gauge\nc_seconds 2\n";
        assert_eq!(TextFormat::Prometheus.of(openmetrics.to_owned()), prometheus);
        assert_eq!(TextFormat::OpenMetrics.of(openmetrics.to_owned()), openmetrics);
    }
}
