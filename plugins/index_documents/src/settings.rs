//! What can be set.

use gtm_plugin::config;

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
    /// Fails with what is wrong, and what to do.
    pub(crate) fn read() -> Result<Self, String> {
        let url = config::get("url").unwrap_or_default();
        if url.is_empty() {
            return Err("the setting url is missing: --set url=http://localhost:8983/solr/CORE, or the server of Elasticsearch".to_owned());
        }
        let engine = match config::get("engine").as_deref() {
            None | Some("solr") => Engine::Solr,
            Some("elasticsearch" | "opensearch") => Engine::Elasticsearch,
            Some(other) => {
                return Err(format!("the setting engine is {other}: solr, elasticsearch or opensearch"));
            }
        };
        let fields = config::get("fields");
        Ok(Self {
            engine,
            url: url.trim_end_matches('/').to_owned(),
            index: config::get("index").unwrap_or_else(|| "{database}.{collection}".to_owned()),
            commit_within: config::get("commit_within").unwrap_or_else(|| "1000".to_owned()),
            fields: fields.map(|fields| fields.split(',').map(|field| field.trim().to_owned()).collect()),
        })
    }

    /// Whether a field of a document is indexed.
    pub(crate) fn wants(&self, field: &str) -> bool {
        self.fields.as_ref().is_none_or(|fields| fields.iter().any(|wanted| wanted == field))
    }
}
