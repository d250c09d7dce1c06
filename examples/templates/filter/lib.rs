//! Passes only documents whose field has one of some values: the orders of a region, for example.

use gtm_plugin::settings::Settings;
use gtm_plugin::{Config, ConfigError, FilterPlugin, Op, plugin};

/// What a user can set. `gtm-host check` prints it, and the host refuses everything else.
#[derive(Settings)]
struct FieldFilterSettings {
    /// The field that decides.
    #[setting(default = "region")]
    field: String,
    /// The values that pass, separated by commas.
    #[setting(default = "eu")]
    values: Vec<String>,
}

#[plugin(filter, settings = FieldFilterSettings)]
struct FieldFilter {
    settings: FieldFilterSettings,
}

impl FilterPlugin for FieldFilter {
    fn new(config: Config) -> Result<Self, ConfigError> {
        Ok(Self { settings: config.parse()? })
    }

    /// Returns whether the op passes. A deletion has no document, so it passes: nobody knows its region.
    fn filter(&self, op: &Op) -> bool {
        let Ok(document) = op.raw_document() else { return true };
        let FieldFilterSettings { field, values } = &self.settings;
        document.get_str(field).is_ok_and(|value| values.iter().any(|known| known == value))
    }
}

#[cfg(test)]
mod tests {
    use gtm_plugin::bson::doc;
    use gtm_plugin::testing::{Harness, delete, insert};

    use super::*;

    fn passes(op: &Op) -> bool {
        Harness::new().config("values", "eu, uk").passes::<FieldFilter>(op)
    }

    #[test]
    fn the_orders_of_the_regions_pass() {
        let order = |region| insert("shop.orders", doc! { "_id": 1, "region": region });
        assert!(passes(&order("eu")) && passes(&order("uk")) && !passes(&order("us")));
        assert!(!passes(&insert("shop.orders", doc! { "_id": 1 })));
    }

    #[test]
    fn a_deletion_passes() {
        assert!(passes(&delete("shop.orders", doc! { "_id": 1 })));
    }

    #[test]
    fn a_misspelt_setting_is_refused() {
        let refused = Harness::new().config("value", "eu").start_filter::<FieldFilter>().unwrap_err();
        assert!(refused.to_string().starts_with("unknown setting value"), "{refused}");
    }
}
