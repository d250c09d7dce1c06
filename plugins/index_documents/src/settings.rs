//! The settings.

use gtm_plugin::settings::{Selection, Settings as _, http_url};
use gtm_plugin::{Config, ConfigError, Namespace};

/// The search engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Solr,
    Elasticsearch,
}

#[derive(gtm_plugin::settings::Settings)]
pub(crate) struct DeclaredSettings {
    /// The URL of the engine: of Solr with the collection, http://localhost:8983/solr/shop; of others without an index,
    /// http://localhost:9200.
    url: String,
    /// The search engine.
    #[setting(default = "solr", choices("solr", "elasticsearch", "opensearch"))]
    engine: String,
    /// Only these collections. * stands for any characters: shop.*, users.users.
    #[expect(dead_code, reason = "the selection reads it")]
    namespaces: Vec<String>,
    /// Only these fields of documents.
    fields: Option<Vec<String>>,
    /// The index of Elasticsearch or OpenSearch.
    #[setting(default = "{database}.{collection}")]
    index: String,
    /// The time in milliseconds after which Solr shows changes.
    #[setting(default = "1000")]
    commit_within: u32,
}

pub(crate) struct Settings {
    pub(crate) engine: Engine,
    /// Without a slash at its end.
    pub(crate) url: String,
    /// Of Elasticsearch.
    pub(crate) index: String,
    /// Of Solr, in milliseconds.
    pub(crate) commit_within: u32,
    /// None: all of them.
    fields: Option<Vec<String>>,
    pub(crate) selection: Selection,
}

impl Settings {
    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        let DeclaredSettings { url, engine, fields, index, commit_within, .. } = config.parse()?;
        if index.is_empty() {
            return Err(ConfigError::new(
                "the setting index is empty. help: set it to the name of an index, or remove it",
            ));
        }
        Ok(Self {
            engine: if engine == "solr" { Engine::Solr } else { Engine::Elasticsearch },
            url: http_url("url", url)?.trim_end_matches('/').to_owned(),
            index,
            commit_within,
            fields,
            selection: Selection::parse(config)?,
        })
    }

    /// Returns whether a field of a document is indexed.
    pub(crate) fn wants(&self, field: &str) -> bool {
        self.fields.as_ref().is_none_or(|fields| fields.iter().any(|wanted| wanted == field))
    }

    /// Returns whether a collection is indexed.
    pub(crate) fn selects(&self, database: &str, collection: &str) -> bool {
        self.selection.selects_namespace(Namespace { database, collection })
    }
}
