//! Reads the URI of a deployment as drivers do. An option that this driver does not know is ignored with a warning, as
//! the URI specification requires.

use std::borrow::Cow;

use mongodb::options::{ClientOptions, ConnectionString};

/// The options that the driver accepts, or refuses for a reason that must not be ignored: security and the route to the
/// server.
const KNOWN_OPTIONS: [&str; 43] = [
    "appname",
    "authmechanism",
    "authmechanismproperties",
    "authsource",
    "compressors",
    "connecttimeoutms",
    "directconnection",
    "enableoverloadretargeting",
    "heartbeatfrequencyms",
    "journal",
    "loadbalanced",
    "localthresholdms",
    "maxadaptiveretries",
    "maxconnecting",
    "maxidletimems",
    "maxpoolsize",
    "maxstalenessseconds",
    "minpoolsize",
    "proxyhost",
    "proxypassword",
    "proxyport",
    "proxyusername",
    "readconcernlevel",
    "readpreference",
    "readpreferencetags",
    "replicaset",
    "retryreads",
    "retrywrites",
    "servermonitoringmode",
    "serverselectiontimeoutms",
    "srvmaxhosts",
    "srvservicename",
    "ssl",
    "tls",
    "tlsallowinvalidcertificates",
    "tlscafile",
    "tlscertificatekeyfile",
    "tlscertificatekeyfilepassword",
    "tlsinsecure",
    "w",
    "waitqueuetimeoutms",
    "wtimeoutms",
    "zlibcompressionlevel",
];

/// The minimum similarity at which an unknown option counts as a misspelling of a known one, from 0 to 1.
const MIN_SIMILARITY: f64 = 0.8;

/// Parses a URI without its ignored options.
///
/// # Errors
/// The URI is not valid.
pub(super) async fn parse(uri: &str) -> mongodb::error::Result<ClientOptions> {
    ClientOptions::parse(&*without_unknown(uri).0).await
}

/// Checks that a URI is valid, as far as possible without a name lookup.
///
/// # Errors
/// The URI is not valid.
pub(super) fn check(uri: &str) -> mongodb::error::Result<()> {
    ConnectionString::parse(without_unknown(uri).0).map(drop)
}

/// Logs a warning for each ignored option.
pub(super) fn warn_of_ignored(uri: &str) {
    for option in without_unknown(uri).1 {
        tracing::warn!(
            event = "server.ignore_option",
            option,
            reason = &*reason(option),
            "ignored an option of the MongoDB URI"
        );
    }
}

/// Returns the URI without its ignored options, and the names of those.
fn without_unknown(uri: &str) -> (Cow<'_, str>, Vec<&str>) {
    let whole = (Cow::Borrowed(uri), Vec::new());
    // If a password contains a question mark, the text after it is not a list of options.
    let are_options = |options: &str| !options.contains('@') && options.split('&').all(is_option);
    let Some((before, options)) = uri.split_once('?').filter(|(_, options)| are_options(options)) else {
        return whole;
    };
    let name = |option: &str| option.split('=').next().unwrap_or_default().to_lowercase();
    let is_known = |option: &&str| option.is_empty() || KNOWN_OPTIONS.contains(&name(option).as_str());
    let (known, ignored): (Vec<_>, Vec<_>) = options.split('&').partition(is_known);
    if ignored.is_empty() {
        return whole;
    }
    let ignored = ignored.into_iter().filter_map(|option| option.split('=').next()).collect();
    (Cow::Owned(format!("{before}?{}", known.join("&"))), ignored)
}

/// Returns whether the text is `name=value`, or empty.
fn is_option(option: &str) -> bool {
    let named = |(name, _): (&str, &str)| name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    option.is_empty() || option.split_once('=').is_some_and(named)
}

/// Returns why an option is ignored.
fn reason(option: &str) -> Cow<'static, str> {
    let name = option.to_lowercase();
    match name.as_str() {
        "uuidrepresentation" => "the host passes UUIDs on as they are stored".into(),
        "sockettimeoutms" | "timeoutms" => "the host has limits of its own for each call".into(),
        _ => {
            let similarity = |known: &&str| strsim::normalized_damerau_levenshtein(&name, known);
            let nearest =
                KNOWN_OPTIONS.into_iter().max_by(|one, other| similarity(one).total_cmp(&similarity(other)));
            match nearest.filter(|nearest| similarity(nearest) >= MIN_SIMILARITY) {
                Some(nearest) => format!("it is not known. Did you mean {nearest}?").into(),
                None => "it is not known".into(),
            }
        }
    }
}

/// Returns whether user name and password contain characters that must be escaped there. Such characters move the start
/// of the hosts and options.
pub(super) fn is_userinfo_at_fault(uri: &str) -> bool {
    let (_, rest) = uri.split_once("://").unwrap_or(("", uri));
    let Some((before_last, _)) = rest.rsplit_once('@') else { return false };
    let hosts = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match hosts.rsplit_once('@') {
        // Everything before the last `@` would be user name and password.
        Some((userinfo, _)) => {
            !is_escaped(userinfo) || before_last.len() > userinfo.len() && !is_options(rest)
        }
        // There is no user name before the hosts, or the apparent hosts are the beginning of a password.
        None => !hosts.split(',').all(is_host) || !is_options(rest),
    }
}

/// Returns whether the last `@` is part of the options.
fn is_options(rest: &str) -> bool {
    rest.split_once('?')
        .is_some_and(|(_, options)| options.contains('@') && options.split('&').all(is_option))
}

/// Returns whether the text is `user` or `user:password`, with every reserved character escaped.
fn is_escaped(userinfo: &str) -> bool {
    let mut escapes = userinfo.split('%').skip(1);
    let digits = |escape: &str| {
        escape.get(..2).is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
    };
    userinfo.matches(':').count() <= 1 && !userinfo.contains(['@', '[', ']']) && escapes.all(digits)
}

/// Returns whether the text is `host`, `host:27017` or `[::1]:27017`.
fn is_host(host: &str) -> bool {
    let port = match host.rsplit_once(']') {
        Some((_, port)) => port.strip_prefix(':').unwrap_or("0"),
        None => host.split_once(':').map_or("0", |(_, port)| port),
    };
    port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn options_that_other_drivers_know_are_ignored() {
        let uri = "mongodb://ada:p%40ss@a:1,b:2/shop?uuidRepresentation=standard&replicaSet=rs0&socketTimeoutMS=5\
                   &tlsAllowInvalidHostnames=false&retrywrite=true";
        let (_, ignored) = without_unknown(uri);
        assert_eq!(
            ignored,
            ["uuidRepresentation", "socketTimeoutMS", "tlsAllowInvalidHostnames", "retrywrite"]
        );
        let options = parse(uri).await.unwrap();
        assert_eq!((options.hosts.len(), options.repl_set_name.as_deref()), (2, Some("rs0")));
        assert_eq!(reason("retrywrite"), "it is not known. Did you mean retrywrites?");
        assert_eq!(reason("x"), "it is not known");
        assert!(parse("mongodb://a/?timeoutMS=5").await.is_ok());
        // An invalid value of a known option is refused, and no part of a password counts as an option.
        assert!(parse("mongodb://a/?tls=perhaps").await.is_err());
        assert!(parse("mongodb://a/?authMechanism=none").await.is_err());
        assert_eq!(without_unknown("mongodb://ada:p?ss=x@a/").1, [""; 0]);
    }

    #[tokio::test]
    async fn each_known_option_is_known_to_the_driver() {
        for known in KNOWN_OPTIONS {
            let said = ClientOptions::parse(format!("mongodb://a/?{known}=")).await.err();
            let said = said.map(|error| error.to_string()).unwrap_or_default();
            assert!(!said.contains("is an invalid option"), "{known}: {said}");
        }
    }

    #[test]
    fn the_userinfo_is_at_fault_if_it_contains_reserved_characters() {
        for fault in [
            "u:p@ss@h",
            "u:p/ss@h:1",
            "u:p?ss@h/",
            "u:p#ss@h",
            "u:p:q@h",
            "u:p%zz@h",
            "u:p%4@h",
            "u:[p@h",
            "u:12?ss@h",
            "u:27/a?ss@h",
        ] {
            assert!(is_userinfo_at_fault(&format!("mongodb://{fault}")), "{fault}");
        }
        for fine in [
            "h",
            "h:x",
            "u:p%40ss@h:x",
            "u@h/?tls=2",
            "h:1,i:2/?appName=a@b&tls=2",
            "u:p@h/?appName=a@b",
            "[::1]:5/?x=a@b",
        ] {
            assert!(!is_userinfo_at_fault(&format!("mongodb://{fine}")), "{fine}");
        }
    }
}
