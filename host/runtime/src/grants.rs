//! What a plugin may do outside of its sandbox: by default nothing. Each capability has a grant of its own, and a call without it
//! returns an error.

use super::capabilities::{CapabilityEntry, GRANTED, Grants};

/// One more grant, in the form `NAME` or `NAME=VALUE`.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    name: String,
    granted: Grants,
}

impl Grant {
    /// Returns the name of what is granted: `mail`, `http-private`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Parses `NAME` or `NAME=VALUE`.
    ///
    /// # Errors
    /// It is not a valid grant; the sentence lists the valid ones.
    pub fn parse(name: &str, value: Option<&str>) -> Result<Self, String> {
        let parsed = GRANTED.iter().find_map(|capability| (capability.parse)(name, value));
        let granted = parsed.unwrap_or_else(|| Err(unknown(name, value)))?;
        Ok(Self { name: name.to_owned(), granted })
    }
}

/// Returns why a text is not a grant: it has a value too many, or none, or an unknown name.
fn unknown(name: &str, value: Option<&str>) -> String {
    let all = GRANTED.iter().flat_map(|capability| capability.forms).copied();
    let mut own = all.filter(|form| form.split('=').next() == Some(name));
    match (own.next(), value) {
        (Some(form), Some(_)) => format!("the grant {name} has no value. help: write it as {form}"),
        (Some(form), None) => format!("the grant {name} needs a value. help: write it as {form}"),
        (None, _) => format!("not a grant. help: use one of {}", forms()),
    }
}

/// Lists all forms of grants, those without a value first.
fn forms() -> String {
    let forms = || GRANTED.iter().flat_map(|capability| capability.forms).copied();
    let mut all: Vec<_> = forms().filter(|form| !form.contains('=')).collect();
    all.extend(forms().filter(|form| form.contains('=')));
    let last = all.pop().unwrap_or_default();
    format!("{} or {last}", all.join(", "))
}

impl Grants {
    /// Adds a grant.
    pub fn add(&mut self, grant: Grant) {
        self.merge(grant.granted);
    }

    /// Describes everything that is granted. None: nothing is.
    pub fn in_words(&self) -> Option<String> {
        let granted = |capability: &CapabilityEntry| {
            Some(format!("{}: {}", capability.name, self.of(capability.name)?))
        };
        let all: Vec<_> = GRANTED.iter().filter_map(granted).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// Describes what is granted of a capability. None: nothing is.
    pub fn of(&self, capability: &str) -> Option<String> {
        let capability = GRANTED.iter().find(|granted| granted.name == capability)?;
        Some((capability.describe)(self)).filter(|granted| !granted.is_empty())
    }

    /// Returns the capabilities that cannot be recognized by an import, as every program has it, and what is granted of each.
    pub fn unasked(&self) -> impl Iterator<Item = (&'static str, String)> {
        let unasked = GRANTED.iter().filter(|capability| capability.imports.is_empty());
        unasked.filter_map(|capability| Some((capability.name, self.of(capability.name)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DirGrant;

    fn toml(text: &str) -> Result<Grants, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn nothing_is_granted_by_default() {
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
    fn both_notations_grant_the_same() {
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
        assert!(Grant::parse("everything", None).unwrap_err().contains("use one of mail, state"));
        for (name, value, said) in [
            ("state", Some("yes"), "the grant state has no value. help: write it as state"),
            ("mail", Some("true"), "the grant mail has no value. help: write it as mail"),
            ("mail-to", None, "the grant mail-to needs a value. help: write it as mail-to=ADDRESS"),
            ("tls", None, "the grant tls needs a value. help: write it as tls=HOST:PORT"),
        ] {
            assert_eq!(Grant::parse(name, value).unwrap_err(), said);
        }
        assert!(Grant::parse("dir", Some("t")).unwrap_err().contains("HOST:GUEST"));
        let with_colon = Grant::parse("dir", Some("/srv/a:b:/t"));
        let dir = DirGrant { host: "/srv/a:b".into(), guest: "/t".to_owned(), write: false };
        assert_eq!(with_colon.unwrap().granted.dirs, [dir]);
    }
}
