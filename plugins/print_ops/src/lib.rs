//! Logs each change it sees as one line of Extended JSON, for a first look at what comes by.
//!
//! The settings are in `README.md`.

use gtm_plugin::settings::{Selection, Settings};
use gtm_plugin::{Config, ConfigError, Op, Outcome, Plugin, Subscription, log, plugin};

#[derive(Settings)]
struct PrintSettings {
    #[setting(flatten)]
    selection: Selection,
}

#[plugin(settings = PrintSettings)]
struct PrintOps {
    settings: PrintSettings,
}

impl Plugin for PrintOps {
    fn new(config: Config) -> Result<Self, ConfigError> {
        Ok(Self { settings: config.parse()? })
    }

    fn subscriptions(&self) -> Option<Vec<Subscription>> {
        Some(self.settings.selection.subscriptions())
    }

    fn handle(&self, op: &Op) -> Outcome {
        log::info!("{}", op.to_change_event()?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use gtm_plugin::OperationType;
    use gtm_plugin::bson::raw::cstr;
    use gtm_plugin::bson::{DateTime, RawDocumentBuf, doc, rawdoc};
    use gtm_plugin::testing::{Harness, OpBuilder, delete, insert};

    use super::*;

    #[test]
    fn a_change_is_a_line() {
        let op = insert("shop.orders", doc! { "_id": 1, "text": "Grüße" });
        let run = Harness::new().run::<PrintOps>(&op);
        let line = concat!(
            r#"{"_id":{"_data":"1700000000.1.0"},"operationType":"insert","clusterTime":{"$timestamp":{"t":1700000000,"i":1}},"#,
            r#""wallTime":{"$date":"2023-11-14T22:13:20Z"},"ns":{"db":"shop","coll":"orders"},"documentKey":{"_id":1},"#,
            r#""fullDocument":{"_id":1,"text":"Grüße"},"origin":"oplog"}"#
        );
        assert_eq!(run.log[0].1, line);
    }

    #[test]
    fn two_paths_that_look_the_same_are_both_there_and_far_dates_are_numbers() {
        // A field "a.b", and a field b in a document a.
        let mut updated = RawDocumentBuf::new();
        updated.append(cstr!("a.b"), 1);
        updated.append(cstr!("a.b"), DateTime::from_millis(253_402_300_800_000));
        let op = OpBuilder::new("shop.orders", OperationType::Update).key(&doc! { "_id": 1 });
        let op = op.raw_description(&rawdoc! { "updatedFields": updated }).build();
        let run = Harness::new().run::<PrintOps>(&op);
        let both = r#"{"a.b":1,"a.b":{"$date":{"$numberLong":"253402300800000"}}}"#;
        assert!(run.log[0].1.contains(both), "{:?}", run.log);
    }

    #[test]
    fn namespaces_and_operations_can_be_chosen() {
        let mut harness = Harness::new().config("namespaces", "shop.o*").config("operations", "delete");
        assert!(harness.run::<PrintOps>(&delete("shop.orders", doc! { "_id": 1 })).wanted);
        assert!(!harness.run::<PrintOps>(&delete("shop.carts", doc! { "_id": 1 })).wanted);
        assert!(!harness.run::<PrintOps>(&insert("shop.orders", doc! { "_id": 1 })).wanted);
    }

    #[test]
    fn the_former_name_of_the_setting_still_works() {
        let mut harness = Harness::new().config("namespace", "shop.orders");
        assert!(harness.run::<PrintOps>(&delete("shop.orders", doc! { "_id": 1 })).wanted);
        assert!(!harness.run::<PrintOps>(&delete("shop.carts", doc! { "_id": 1 })).wanted);
    }
}
