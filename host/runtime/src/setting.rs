//! The settings that a plugin declares, and the check of the values that a user set.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use gtm_text::nearest;
use gtm_text::units::{parse_size_or_zero, parse_time};

use super::remedy::PluginRemedy;
use super::setup::ComponentKind;

/// The number of settings that a plugin may declare.
const MAX_SETTINGS: usize = 200;
/// Bytes of each text of a declaration, and of the choices of a setting.
const MAX_TEXT_BYTES: usize = 4096;
/// The number of former names, and of choices, of a setting.
const MAX_NAMES: usize = 100;

/// A setting that a plugin declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredSetting {
    /// Its name.
    pub name: String,
    /// The type of its value.
    pub setting_type: SettingType,
    /// The value if the user sets none.
    pub default: Option<String>,
    /// What it does.
    pub doc: String,
    /// Whether the plugin does not start without it.
    pub is_required: bool,
    /// Whether its value is kept out of logs, errors and lists.
    pub is_secret: bool,
    /// Names that it had before.
    pub former_names: Vec<String>,
}

impl DeclaredSetting {
    /// Returns whether the setting has this name, now or formerly.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.former_names.iter().any(|former| former == name)
    }
}

/// The type of the value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingType {
    /// Any text.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A number with a fraction.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A number with a unit of time.
    Duration,
    /// A number of bytes.
    Size,
    /// Several texts, separated by commas.
    Texts,
    /// One of these texts.
    Choice(Vec<String>),
}

impl SettingType {
    /// Returns the value as the plugin gets it. None: it does not have this type.
    fn normalize(&self, value: &str) -> Option<String> {
        match self {
            Self::Text | Self::Texts => Some(value.to_owned()),
            Self::Integer => value.trim().parse::<i64>().ok().map(|number| number.to_string()),
            Self::Number => {
                value.trim().parse::<f64>().ok().filter(|number| number.is_finite()).map(|n| n.to_string())
            }
            Self::Boolean => matches!(value, "true" | "false").then(|| value.to_owned()),
            Self::Duration => {
                let duration = parse_time(value).ok()?;
                let millis = u64::try_from(duration.as_millis()).ok()?;
                (Duration::from_millis(millis) == duration).then(|| millis.to_string())
            }
            Self::Size => parse_size_or_zero(value).ok().map(|size| size.as_u64().to_string()),
            Self::Choice(texts) => texts.iter().any(|text| text == value).then(|| value.to_owned()),
        }
    }

    /// Returns its name, as in the contract.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Duration => "duration",
            Self::Size => "size",
            Self::Texts => "texts",
            Self::Choice(_) => "choice",
        }
    }
}

/// Displays what a value must be.
impl fmt::Display for SettingType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("a text"),
            Self::Integer => f.write_str("a whole number"),
            Self::Number => f.write_str("a number"),
            Self::Boolean => f.write_str("true or false"),
            Self::Duration => f.write_str("a duration, such as 500ms, 10s or 5m"),
            Self::Size => f.write_str("a size, such as 512 KiB or 1 MiB"),
            Self::Texts => f.write_str("texts, separated by commas"),
            Self::Choice(texts) => write!(f, "one of {}", texts.join(", ")),
        }
    }
}

/// Why the settings of a plugin are not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages describe them")]
pub enum SettingProblem {
    #[error(
        "unknown setting {name}{}{}", .nearest.as_ref().map(|nearest| format!(" (did you mean {nearest}?)")).unwrap_or_default(),
        PluginRemedy::KnownSettings { kind: *kind, known }
    )]
    Unknown { kind: ComponentKind, name: String, nearest: Option<String>, known: Vec<String> },
    #[error("the setting {name} is missing{}", PluginRemedy::Setting { kind: *kind, component, name })]
    Missing { kind: ComponentKind, component: String, name: String },
    #[error("the new version needs the setting {name}, which is not set{}", PluginRemedy::NewSetting { kind: *kind, component, name })]
    MissingForSuccessor { kind: ComponentKind, component: String, name: String },
    #[error(
        "the setting {name} {}must be {expected}{}",
        .value.as_ref().map(|value| format!("is {value:?}, and it ")).unwrap_or_default(),
        PluginRemedy::Setting { kind: *kind, component, name }
    )]
    Type {
        kind: ComponentKind,
        component: String,
        name: String,
        value: Option<String>,
        expected: SettingType,
    },
    #[error(
        "the settings {former} and {name} are both set, and are the same. help: remove {former}, the former name"
    )]
    Twice { former: String, name: String },
    #[error(
        "the {kind} declares settings that are not valid: {reason}. help: report it to the author of the {kind}"
    )]
    Declaration { kind: ComponentKind, reason: String },
}

/// Settings after their check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CheckedSettings {
    /// The values by the names that the plugin knows, with the defaults.
    pub(super) values: BTreeMap<String, String>,
    /// The former names that are in use, each with the name that replaced it.
    pub(super) renamed: Vec<(String, String)>,
}

/// The values that a user set for a component.
#[derive(Clone, Copy, Debug)]
pub(super) struct SetValues<'a> {
    /// What the component is for.
    pub(super) kind: ComponentKind,
    /// The name of the component.
    pub(super) component: &'a str,
    /// The values by their names.
    pub(super) set: &'a BTreeMap<String, String>,
    /// The names whose values are set for several plugins together, of which some may not declare them.
    pub(super) shared: &'a BTreeSet<String>,
    /// Whether the component runs, and the values are checked for another version of it.
    pub(super) is_for_successor: bool,
}

/// Checks the values that a user set for a plugin against what the plugin declares, if it declares anything.
///
/// # Errors
/// All problems, of which there is at least one.
pub(super) fn check(
    declared: Option<&[DeclaredSetting]>,
    SetValues { kind, component, set, shared, is_for_successor }: SetValues<'_>,
) -> Result<CheckedSettings, Vec<SettingProblem>> {
    let Some(declared) = declared else {
        return Ok(CheckedSettings { values: set.clone(), renamed: Vec::new() });
    };
    check_declaration(declared).map_err(|reason| vec![SettingProblem::Declaration { kind, reason }])?;
    let mut checked = CheckedSettings::default();
    let mut problems = Vec::new();
    for setting in declared {
        let DeclaredSetting { name, setting_type, default, is_required, is_secret, former_names, .. } =
            setting;
        let mut formers = former_names.iter().filter(|former| set.contains_key(*former));
        let (former, other) = (formers.next(), formers.next());
        let value = match (set.get(name), former) {
            (current, Some(former)) if current.is_some() || other.is_some() => {
                let name = if current.is_some() { name } else { other.unwrap_or(name) };
                problems.push(SettingProblem::Twice { former: former.clone(), name: name.clone() });
                continue;
            }
            (Some(value), Some(_)) => Some(value),
            (Some(value), None) => Some(value),
            (None, Some(former)) => {
                checked.renamed.push((former.clone(), name.clone()));
                set.get(former)
            }
            (None, None) => None,
        };
        // An empty value is none, as from a variable that is set to nothing. Only a text may be empty.
        let may_be_empty = !*is_required && matches!(setting_type, SettingType::Text | SettingType::Texts);
        let value = value.filter(|value| may_be_empty || !value.is_empty()).or(default.as_ref());
        let Some(value) = value else {
            if *is_required {
                let (component, name) = (component.to_owned(), name.clone());
                problems.push(match is_for_successor {
                    true => SettingProblem::MissingForSuccessor { kind, component, name },
                    false => SettingProblem::Missing { kind, component, name },
                });
            }
            continue;
        };
        match setting_type.normalize(value) {
            Some(value) => {
                checked.values.insert(name.clone(), value);
            }
            None => problems.push(SettingProblem::Type {
                kind,
                component: component.to_owned(),
                name: name.clone(),
                value: (!*is_secret).then(|| value.clone()),
                expected: setting_type.clone(),
            }),
        }
    }
    let is_known = |name: &String| declared.iter().any(|setting| setting.is_called(name));
    for name in set.keys().filter(|name| !is_known(name) && !shared.contains(*name)) {
        let names: Vec<_> = declared.iter().map(|setting| setting.name.clone()).collect();
        problems.push(SettingProblem::Unknown {
            kind,
            name: name.clone(),
            nearest: nearest(name, names.iter().map(String::as_str)).map(str::to_owned),
            known: names,
        });
    }
    if problems.is_empty() { Ok(checked) } else { Err(problems) }
}

/// Checks the declaration itself: it comes from the plugin.
fn check_declaration(declared: &[DeclaredSetting]) -> Result<(), String> {
    let wrong = Err::<(), String>;
    if declared.len() > MAX_SETTINGS {
        return wrong(format!("it has {} settings, and at most {MAX_SETTINGS} are allowed", declared.len()));
    }
    let mut names = BTreeSet::new();
    for setting in declared {
        if setting.former_names.len() > MAX_NAMES {
            return wrong(format!("{} has more than {MAX_NAMES} former names", setting.name));
        }
        for name in std::iter::once(&setting.name).chain(&setting.former_names) {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
            if name.is_empty() || name.len() > 100 || !name.chars().all(is_plain) {
                return wrong(format!(
                    "{:?} is not a valid name: it has 1 to 100 letters, digits, _, - and .",
                    name.chars().take(100).collect::<String>()
                ));
            }
            if !names.insert(name) {
                return wrong(format!("the name {name} occurs twice"));
            }
        }
        if setting.doc.len() > MAX_TEXT_BYTES {
            return wrong(format!("the text about {} has more than {MAX_TEXT_BYTES} bytes", setting.name));
        }
        if setting.default.as_ref().is_some_and(|default| default.len() > MAX_TEXT_BYTES) {
            return wrong(format!("the default of {} has more than {MAX_TEXT_BYTES} bytes", setting.name));
        }
        if setting.is_secret && setting.default.is_some() {
            return wrong(format!("{} is secret, and has a default", setting.name));
        }
        if let SettingType::Choice(texts) = &setting.setting_type
            && (!(1..=MAX_NAMES).contains(&texts.len())
                || texts.iter().map(String::len).sum::<usize>() > MAX_TEXT_BYTES)
        {
            return wrong(format!(
                "{} must have 1 to {MAX_NAMES} choices of {MAX_TEXT_BYTES} bytes together",
                setting.name
            ));
        }
        if let Some(default) = &setting.default
            && setting.setting_type.normalize(default).is_none()
        {
            return wrong(format!("the default of {} is not {}", setting.name, setting.setting_type));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(name: &str, setting_type: SettingType) -> DeclaredSetting {
        DeclaredSetting {
            name: name.to_owned(),
            setting_type,
            default: None,
            doc: String::new(),
            is_required: false,
            is_secret: false,
            former_names: Vec::new(),
        }
    }

    fn set<'a>(values: impl IntoIterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
        values.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn check(
        declared: Option<&[DeclaredSetting]>,
        set: &BTreeMap<String, String>,
    ) -> Result<CheckedSettings, Vec<SettingProblem>> {
        let shared = BTreeSet::new();
        super::check(
            declared,
            SetValues {
                kind: ComponentKind::Plugin,
                component: "p",
                set,
                shared: &shared,
                is_for_successor: false,
            },
        )
    }

    fn problems(declared: &[DeclaredSetting], values: &BTreeMap<String, String>) -> Vec<String> {
        let problems = check(Some(declared), values).err().unwrap_or_default();
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn values_are_checked_by_type() {
        let types = [
            (SettingType::Integer, "-5", "5.5"),
            (SettingType::Number, "1e3", "inf"),
            (SettingType::Boolean, "true", "yes"),
            (SettingType::Duration, "1m 30s", "10"),
            (SettingType::Duration, "500ms", "500us"),
            (SettingType::Duration, "", "100000000000y"),
            (SettingType::Size, "512 KiB", "much"),
            (SettingType::Choice(vec!["a".to_owned(), "b".to_owned()]), "b", "c"),
        ];
        for (setting_type, good, bad) in types {
            let declared = [setting("x", setting_type)];
            assert_eq!(problems(&declared, &set([("x", good)])), [""; 0], "{good}");
            let said = problems(&declared, &set([("x", bad)]));
            assert!(said[0].starts_with(&format!("the setting x is {bad:?}, and it must be ")), "{said:?}");
        }
    }

    #[test]
    fn all_problems_are_found_together() {
        let declared = [
            DeclaredSetting { is_required: true, ..setting("url", SettingType::Text) },
            DeclaredSetting { is_secret: true, ..setting("token", SettingType::Integer) },
        ];
        let said = problems(&declared, &set([("tken", "1"), ("token", "abc")]));
        assert_eq!(said.len(), 3, "{said:?}");
        assert_eq!(said[0], "the setting url is missing");
        assert!(!said[1].contains("abc"), "{said:?}");
        assert_eq!(said[2], "unknown setting tken (did you mean token?)");
        assert_eq!(problems(&declared, &set([("url", "")])).len(), 1);
        assert!(!said[1].contains("is \""), "{said:?}");
        assert_eq!(check(None, &set([("x", "1")])).unwrap().values, set([("x", "1")]));
    }

    #[test]
    fn defaults_and_former_names_are_applied() {
        let declared = [
            DeclaredSetting { default: Some("10s".to_owned()), ..setting("wait", SettingType::Duration) },
            DeclaredSetting {
                former_names: vec!["namespace".to_owned()],
                ..setting("namespaces", SettingType::Texts)
            },
        ];
        let checked = check(Some(&declared), &set([("namespace", "a.b")])).unwrap();
        assert_eq!(checked.values, set([("wait", "10000"), ("namespaces", "a.b")]));
        assert_eq!(checked.renamed, [("namespace".to_owned(), "namespaces".to_owned())]);
        let both = [("namespace", "a"), ("namespaces", "b")];
        assert!(problems(&declared, &set(both))[0].contains("both set"));
        // A variable that is set to nothing.
        assert_eq!(check(Some(&declared), &set([("wait", "")])).unwrap().values, set([("wait", "10000")]));
    }

    #[test]
    fn a_value_for_several_plugins_is_dropped_by_those_that_do_not_declare_it() {
        let (declared, shared) =
            ([setting("url", SettingType::Text)], BTreeSet::from(["subject".to_owned()]));
        let of = |set: BTreeMap<String, String>| {
            let values = SetValues {
                kind: ComponentKind::Plugin,
                component: "p",
                set: &set,
                shared: &shared,
                is_for_successor: false,
            };
            super::check(Some(&declared), values)
        };
        assert_eq!(of(set([("url", "x"), ("subject", "Hi")])).unwrap().values, set([("url", "x")]));
        assert_eq!(of(set([("url", "x"), ("subjct", "Hi")])).unwrap_err().len(), 1);
    }

    #[test]
    fn a_missing_setting_of_another_version_is_told_from_one_of_the_first() {
        let declared = [DeclaredSetting { is_required: true, ..setting("url", SettingType::Text) }];
        let (set, shared) = (BTreeMap::new(), BTreeSet::new());
        let of = |is_for_successor| {
            let values = SetValues {
                kind: ComponentKind::Plugin,
                component: "p",
                set: &set,
                shared: &shared,
                is_for_successor,
            };
            super::check(Some(&declared), values).unwrap_err()[0].to_string()
        };
        assert_eq!(of(false), "the setting url is missing");
        assert_eq!(of(true), "the new version needs the setting url, which is not set");
    }

    #[test]
    fn a_wrong_declaration_is_refused() {
        let wrong = [
            vec![setting("a b", SettingType::Text)],
            vec![setting("a", SettingType::Text), setting("a", SettingType::Text)],
            vec![DeclaredSetting { default: Some("x".to_owned()), ..setting("a", SettingType::Integer) }],
            vec![setting("a", SettingType::Choice(Vec::new()))],
            vec![setting("a", SettingType::Choice(vec![String::new(); MAX_NAMES + 1]))],
            vec![DeclaredSetting { default: Some("x".repeat(5000)), ..setting("a", SettingType::Text) }],
            vec![DeclaredSetting {
                default: Some("x".to_owned()),
                is_secret: true,
                ..setting("a", SettingType::Text)
            }],
            (0..=MAX_SETTINGS).map(|n| setting(&format!("s{n}"), SettingType::Text)).collect(),
        ];
        for declared in wrong {
            assert!(problems(&declared, &set([]))[0].starts_with("the plugin declares"), "{declared:?}");
        }
    }
}
