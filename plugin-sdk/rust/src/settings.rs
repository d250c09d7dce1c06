//! The settings that a plugin declares, so that `gtm-host check` prints them, and the host refuses a name that is unknown, a value of
//! another type, and a start without a required one.
//!
//! ```
//! use std::time::Duration;
//!
//! use gtm_plugin::settings::{Selection, Settings};
//! use gtm_plugin::{Config, ConfigError, Op, Outcome, Plugin, Subscription, plugin};
//!
//! #[derive(Settings)]
//! struct ForwardSettings {
//!     /// The URL that gets each change.
//!     url: String,
//!     /// The time to wait for an answer.
//!     #[setting(default = "10s")]
//!     timeout: Duration,
//!     /// The token that is sent along.
//!     #[setting(secret)]
//!     token: Option<String>,
//!     #[setting(flatten)]
//!     selection: Selection,
//! }
//!
//! #[plugin(settings = ForwardSettings)]
//! struct Forward(ForwardSettings);
//!
//! impl Plugin for Forward {
//!     fn new(config: Config) -> Result<Self, ConfigError> {
//!         Ok(Self(config.parse()?))
//!     }
//!
//!     fn subscriptions(&self) -> Option<Vec<Subscription>> {
//!         Some(self.0.selection.subscriptions())
//!     }
//!
//!     fn handle(&self, op: &Op) -> Outcome {
//!         // … send it to self.0.url …
//!         Ok(())
//!     }
//! }
//! ```

mod selection;
mod value;

pub use gtm_plugin_macros::Settings;
pub use selection::Selection;
pub use value::{ByteSize, SettingValue};

use crate::config::{Config, ConfigError};

/// A type whose fields are settings. Derive it: each field is a setting of its name, and its documentation is that of the setting.
///
/// The type of a field is `String`, an integer, `f64`, `bool`, `Duration`, [`ByteSize`], `Vec<String>` (texts, separated by commas), or an
/// `Option` of one of them. A field that is neither an `Option` nor a `Vec` and has no default is required. The attribute
/// `#[setting(…)]` has these parts: `default = "10s"`; `choices("a", "b")`, for texts; `required`, for a `Vec` with at least one text;
/// `secret`; `former("old_name")`, names that it had before; `name = "other"`; and `flatten`, for a field whose type has several settings.
pub trait Settings: Sized {
    /// Returns the settings.
    fn declare() -> Vec<Setting>;

    /// Reads the values.
    ///
    /// # Errors
    /// A value does not have the type of its field.
    fn parse(config: &Config) -> Result<Self, ConfigError>;
}

/// A setting of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// The type of its value.
    pub setting_type: SettingType,
    /// The value if the user sets none, as the user would write it.
    pub default: Option<String>,
    /// What it does, in one or two sentences.
    pub doc: String,
    /// Whether the plugin needs it to start.
    pub required: bool,
    /// Whether the host hides its value in what it prints. It has no default then.
    pub secret: bool,
    /// Names that it had before. The host still accepts them, with a warning.
    pub former_names: Vec<String>,
}

/// The type of the value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingType {
    /// Any text.
    Text,
    /// A whole number.
    Integer,
    /// A number with a fraction.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A time with its unit.
    Duration,
    /// A size with its unit.
    Size,
    /// Several texts, separated by commas.
    Texts,
    /// One of these texts.
    Choice(Vec<String>),
}

/// Returns the name that is most similar to a name, if one is similar.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    const MIN_SIMILARITY: f64 = 0.5;
    let like =
        |known: &str| strsim::normalized_damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase());
    let nearest = known.iter().max_by(|one, other| like(one).total_cmp(&like(other)))?;
    (like(nearest) >= MIN_SIMILARITY).then_some(nearest)
}

/// Returns the value of a setting that is the URL of an HTTP server.
///
/// # Errors
/// It does not begin with `https://` or `http://`.
pub fn http_url(name: &str, url: String) -> Result<String, ConfigError> {
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(url);
    }
    Err(ConfigError::new(format!(
        "the setting {name} is {url}, which is not a URL. help: begin it with https:// or http://"
    )))
}
