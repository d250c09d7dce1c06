//! What a plugin may do beside computing. Nothing, until it is said: each capability that reaches out of the
//! sandbox has a grant of its own, and what is not granted answers with an error that says how to grant it.

mod http;
mod mail;
mod path;

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;

use gtm_oplog::Pattern;
use gtm_oplog::selection::{is_reserved_database, is_system};
pub(super) use http::address;
pub use http::{HttpGrant, NoHttpGrant};
pub use mail::{AddressPattern, MailGrant, NoAddressPattern};
pub use path::{NoPathPattern, PathPattern};
use serde::Deserialize;
use serde::de::{self, Deserializer};

/// What a plugin may do. By default nothing.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// Send mail through the host's mail server.
    #[serde(deserialize_with = "mail::deserialize")]
    pub mail: Option<MailGrant>,
    /// Keep values in the store of the checkpoints.
    pub state: bool,
    /// Send requests to these servers.
    pub http: Vec<HttpGrant>,
    /// Use the cluster.
    pub mongodb: MongodbGrants,
    /// See these variables of the host's environment.
    pub env: Vec<String>,
    /// Use these directories.
    pub dirs: Vec<DirGrant>,
}

/// The namespaces that a plugin may use.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MongodbGrants {
    /// Find and aggregate there.
    pub read: Vec<NamespaceGrant>,
    /// Insert, update, replace and delete there.
    pub write: Vec<NamespaceGrant>,
}

/// Namespaces, as a subscription names them: `shop.orders`, `shop.*`.
#[derive(Clone, Debug)]
pub struct NamespaceGrant(Pattern);

impl NamespaceGrant {
    /// The namespaces like `pattern`.
    ///
    /// # Errors
    /// The pattern is none.
    pub fn new(pattern: &str) -> Result<Self, gtm_oplog::PatternError> {
        Pattern::new(pattern).map(Self)
    }

    /// Whether `database.collection` is among them. The server's own databases and collections, and those of the host, are so only
    /// where they are named: `shop.*` does not cover `shop.system.views`, and `shop.system.*` does.
    pub(super) fn covers(&self, namespace: &str) -> bool {
        let (database, collection) = namespace.split_once('.').unwrap_or((namespace, ""));
        let begins_with = |start: &str| self.0.to_string().starts_with(start);
        self.0.is_match(namespace)
            && (!is_reserved_database(database) || begins_with(&format!("{database}.")))
            && (!is_system(collection) || begins_with(&format!("{database}.system.")))
    }
}

impl PartialEq for NamespaceGrant {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl fmt::Display for NamespaceGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for NamespaceGrant {
    fn deserialize<D: Deserializer<'de>>(text: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(text)?).map_err(de::Error::custom)
    }
}

/// A directory that a plugin may use.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirGrant {
    /// On this machine.
    pub host: PathBuf,
    /// As the plugin sees it: `/templates`.
    pub guest: String,
    /// Whether it may write there.
    #[serde(default)]
    pub write: bool,
}

/// One more grant, as it is said on the command line.
#[derive(Clone, Debug, PartialEq)]
pub enum Grant {
    /// `mail`
    Mail,
    /// `mail-from=ADDRESS`
    MailFrom(AddressPattern),
    /// `mail-to=ADDRESS`
    MailTo(AddressPattern),
    /// `mail-per-minute=COUNT`
    MailPerMinute(NonZeroU32),
    /// `state`
    State,
    /// `http=SERVER`, and with its private addresses `http-private=SERVER`; `http=METHODS SERVER/PATH`.
    Http(HttpGrant),
    /// `mongodb-read=NAMESPACE`
    MongodbRead(NamespaceGrant),
    /// `mongodb-write=NAMESPACE`
    MongodbWrite(NamespaceGrant),
    /// `env=NAME`
    Env(String),
    /// `dir=HOST:GUEST`, and to write there too `dir-write=HOST:GUEST`.
    Dir(DirGrant),
}

/// What is granted apart.
const CAPABILITIES: [&str; 6] = ["mail", "state", "http", "mongodb", "env", "dirs"];
/// The names of what can be granted, as they are said.
const NAMES: &str = "mail, state, mail-from=ADDRESS, mail-to=ADDRESS, mail-per-minute=COUNT, http=SERVER, http-private=SERVER (or http=GET,POST SERVER/PATH), \
                     mongodb-read=DB.COLL, mongodb-write=DB.COLL, env=NAME, dir=HOST:GUEST and dir-write=HOST:GUEST";

impl Grant {
    /// The name of what is granted, as it is said.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::MailFrom(_) => "mail-from",
            Self::MailTo(_) => "mail-to",
            Self::MailPerMinute(_) => "mail-per-minute",
            Self::State => "state",
            Self::Http(_) => "http",
            Self::MongodbRead(_) => "mongodb-read",
            Self::MongodbWrite(_) => "mongodb-write",
            Self::Env(_) => "env",
            Self::Dir(_) => "dir",
        }
    }

    /// Understands what is said; `value` is what stands behind the `=`.
    ///
    /// # Errors
    /// What cannot be understood, and what can.
    pub fn parse(name: &str, value: Option<&str>) -> Result<Self, String> {
        // The last colon: one in a path of this machine is part of it.
        let directory = |value: &str, write| match value.rsplit_once(':') {
            Some((host, guest)) if !host.is_empty() && !guest.is_empty() => {
                Ok(Self::Dir(DirGrant { host: host.into(), guest: guest.to_owned(), write }))
            }
            _ => Err(format!("expected HOST:GUEST, as in {name}=./templates:/templates")),
        };
        let http = |value: &str, private| {
            let mut grant = value.parse::<HttpGrant>().map_err(|error| error.to_string())?;
            grant.private = private;
            Ok(Self::Http(grant))
        };
        let namespace = |value: &str| NamespaceGrant::new(value).map_err(|error| error.to_string());
        let address = |value: &str| AddressPattern::new(value).map_err(|error| error.to_string());
        match (name, value) {
            ("mail", None) => Ok(Self::Mail),
            ("mail-from", Some(value)) => address(value).map(Self::MailFrom),
            ("mail-to", Some(value)) => address(value).map(Self::MailTo),
            ("mail-per-minute", Some(value)) => value
                .parse()
                .map(Self::MailPerMinute)
                .map_err(|_| format!("\"{value}\" is not a valid number of messages: it is 1 or more")),
            ("state", None) => Ok(Self::State),
            ("http", Some(value)) => http(value, false),
            ("http-private", Some(value)) => http(value, true),
            ("mongodb-read", Some(value)) => namespace(value).map(Self::MongodbRead),
            ("mongodb-write", Some(value)) => namespace(value).map(Self::MongodbWrite),
            ("env", Some(value)) => Ok(Self::Env(value.to_owned())),
            ("dir", Some(value)) => directory(value, false),
            ("dir-write", Some(value)) => directory(value, true),
            _ => Err(format!("what can be granted is {NAMES}")),
        }
    }
}

impl Grants {
    /// All that there is, but for files and the environment: where nothing is done, it is only taken down.
    pub fn everything() -> Self {
        let all = || NamespaceGrant::new("*").into_iter().collect();
        Self {
            mail: Some(MailGrant::default()),
            state: true,
            http: vec![HttpGrant::anything()],
            mongodb: MongodbGrants { read: all(), write: all() },
            ..Self::default()
        }
    }

    /// One more.
    pub fn add(&mut self, grant: Grant) {
        match grant {
            Grant::Mail => drop(self.mail.get_or_insert_default()),
            Grant::MailFrom(address) => self.mail.get_or_insert_default().from.push(address),
            Grant::MailTo(address) => self.mail.get_or_insert_default().to.push(address),
            Grant::MailPerMinute(count) => self.mail.get_or_insert_default().per_minute = Some(count),
            Grant::State => self.state = true,
            Grant::Http(grant) => self.http.push(grant),
            Grant::MongodbRead(grant) => self.mongodb.read.push(grant),
            Grant::MongodbWrite(grant) => self.mongodb.write.push(grant),
            Grant::Env(name) => self.env.push(name),
            Grant::Dir(grant) => self.dirs.push(grant),
        }
    }

    /// All that is granted, in words. None: nothing.
    pub fn in_words(&self) -> Option<String> {
        let granted = |capability| Some(format!("{capability}: {}", self.of(capability)?));
        let all: Vec<_> = CAPABILITIES.into_iter().filter_map(granted).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// What is granted of a capability of the contract, or of WASI, in words. None: nothing.
    pub fn of(&self, capability: &str) -> Option<String> {
        let listed = |all: &mut dyn Iterator<Item = String>| Some(all.collect::<Vec<_>>().join(", "));
        match capability {
            "mail" => self.mail.as_ref().map(ToString::to_string),
            "state" => self.state.then(|| "granted".to_owned()),
            "http" => listed(&mut self.http.iter().map(ToString::to_string)),
            "mongodb" => {
                let read = self.mongodb.read.iter().map(|namespace| format!("read {namespace}"));
                listed(
                    &mut read.chain(self.mongodb.write.iter().map(|namespace| format!("write {namespace}"))),
                )
            }
            "env" => listed(&mut self.env.iter().cloned()),
            "dirs" => listed(&mut self.dirs.iter().map(|dir| {
                format!(
                    "{} as {}{}",
                    dir.host.display(),
                    dir.guest,
                    if dir.write { ", to write" } else { "" }
                )
            })),
            _ => None,
        }
        .filter(|granted| !granted.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toml(text: &str) -> Result<Grants, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn nothing_is_granted_until_it_is_said() {
        assert_eq!(toml("").unwrap(), Grants::default());
        let all = toml(
            "mail = true\nstate = true\nenv = [\"HOME\"]\nhttp = [\"https://a.example\"]\n\
             mongodb = { read = [\"shop.*\"], write = [\"audit.log\"] }\n\
             dirs = [{ host = \"t\", guest = \"/t\", write = true }]",
        )
        .unwrap();
        for (capability, granted) in [
            ("mail", "granted, from any address, to any address, at most 600 a minute"),
            ("http", "https://a.example"),
            ("mongodb", "read shop.*, write audit.log"),
            ("env", "HOME"),
            ("dirs", "t as /t, to write"),
        ] {
            assert_eq!(all.of(capability).unwrap(), granted);
            assert_eq!(Grants::default().of(capability), None);
        }
        let mail =
            toml("mail = { from = [\"shop@a.example\"], to = [\"*@a.example\"], per_minute = 5 }").unwrap();
        assert_eq!(
            mail.of("mail").unwrap(),
            "granted, from shop@a.example, to *@a.example, at most 5 a minute"
        );
        assert_eq!(toml("mail = false").unwrap(), Grants::default());
        assert!(toml("mail = 1").unwrap_err().contains("expected true, or a table like"));
        assert!(toml("mail = { for = [] }").unwrap_err().contains("unknown field `for`"));
        assert!(toml("mail.to = [\"a.example\"]").unwrap_err().contains("*@example.com"));
        assert!(toml("mail.per_minute = 0").is_err());
        assert!(toml("mails = true").unwrap_err().contains("unknown field `mails`"));
        assert!(toml("mongodb.read = [\"shop\"]").unwrap_err().contains("DATABASE.COLLECTION"));
    }

    #[test]
    fn what_is_said_is_the_same_as_what_is_written() {
        let mut said = Grants::default();
        for (name, value) in [
            ("mail", None),
            ("mail-from", Some("a@a.example")),
            ("mail-to", Some("*@a.example")),
            ("mail-per-minute", Some("5")),
            ("mongodb-write", Some("audit.log")),
            ("http-private", Some("http://solr:8983")),
            ("dir", Some("t:/t")),
        ] {
            said.add(Grant::parse(name, value).unwrap());
        }
        let written = toml(
            "mail = { from = [\"a@a.example\"], to = [\"*@a.example\"], per_minute = 5 }\n\
             mongodb.write = [\"audit.log\"]\nhttp = [{ url = \"http://solr:8983\", private = true }]\n\
             dirs = [{ host = \"t\", guest = \"/t\" }]",
        );
        assert_eq!(said, written.unwrap());
        assert!(Grant::parse("everything", None).unwrap_err().contains("what can be granted is mail, state"));
        assert!(Grant::parse("dir", Some("t")).unwrap_err().contains("HOST:GUEST"));
        let with_colon = Grant::parse("dir", Some("/srv/a:b:/t"));
        assert_eq!(
            with_colon,
            Ok(Grant::Dir(DirGrant { host: "/srv/a:b".into(), guest: "/t".to_owned(), write: false }))
        );
    }

    #[test]
    fn the_servers_and_the_hosts_own_namespaces_are_covered_by_no_wildcard() {
        let covers = |pattern: &str, namespace| NamespaceGrant::new(pattern).unwrap().covers(namespace);
        assert!(covers("*", "shop.orders") && covers("shop.*", "shop.orders.2026"));
        assert!(!covers("shop.*", "shops.orders"));
        for namespace in ["gtm.checkpoints", "admin.system.users", "local.oplog.rs", "config.settings"] {
            assert!(!covers("*", namespace) && !covers("*.*", namespace), "{namespace}");
            assert!(covers(namespace, namespace));
        }
        for namespace in ["shop.system.views", "shop.system.js", "admin.system.users"] {
            let (database, _) = namespace.split_once('.').unwrap();
            for pattern in
                ["*", "*.system.*", "/system/", &format!("{database}.*"), &format!("{database}.system*")]
            {
                assert!(!covers(pattern, namespace), "{pattern}");
            }
            assert!(covers(&format!("{database}.system.*"), namespace) && covers(namespace, namespace));
        }
        assert!(covers("shop.*", "shop.systems") && covers("shop.*", "shop.a.system.b"));
    }
}
