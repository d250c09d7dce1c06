//! What can be set.

use gtm_plugin::{config, settings};

/// Which search engine it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Solr,
    Elasticsearch,
}

pub(crate) struct Settings {
    pub(crate) engine: Engine,
    /// Without a slash at its end.
    pub(crate) url: String,
    /// Of Elasticsearch.
    pub(crate) index: String,
    /// Of Solr, in milliseconds.
    pub(crate) commit_within: String,
    /// None: all of them.
    pub(crate) fields: Option<Vec<String>>,
}

impl Settings {
    pub(crate) const NAMES: settings::Settings =
        settings::Settings::known(&["url", "engine", "namespaces", "fields", "index", "commit_within"]);

    /// Fails with what is wrong, and what to do.
    pub(crate) fn read() -> Result<Self, String> {
        let url = settings::required_url("url")?;
        let engine = match settings::one_of("engine", &["solr", "elasticsearch", "opensearch"])?.as_deref() {
            None | Some("solr") => Engine::Solr,
            Some(_) => Engine::Elasticsearch,
        };
        settings::check_selection()?;
        let commit_within = config::get("commit_within").unwrap_or_else(|| "1000".to_owned());
        if commit_within.parse::<u32>().is_err() {
            return Err(format!(
                "the setting commit_within is {commit_within}. help: set it to a number of milliseconds, such as 1000"
            ));
        }
        let index = config::get("index").unwrap_or_else(|| "{database}.{collection}".to_owned());
        if index.is_empty() {
            return Err(
                "the setting index is empty. help: set it to the name of an index, or remove it".to_owned()
            );
        }
        let fields = config::get("fields");
        Ok(Self {
            engine,
            url: url.trim_end_matches('/').to_owned(),
            index,
            commit_within,
            fields: fields.map(|fields| fields.split(',').map(|field| field.trim().to_owned()).collect()),
        })
    }

    /// Whether a field of a document is indexed.
    pub(crate) fn wants(&self, field: &str) -> bool {
        self.fields.as_ref().is_none_or(|fields| fields.iter().any(|wanted| wanted == field))
    }
}
