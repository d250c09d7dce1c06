//! Adds up the orders of each day: for each order that is inserted into `shop.orders`, it updates the sum of its day.

use gtm_plugin::bson::{DateTime, RawBsonRef, doc};
use gtm_plugin::mongodb::Collection;
use gtm_plugin::settings::Settings;
use gtm_plugin::{Config, ConfigError, Error, Failure, Op, Outcome, Plugin, plugin};

/// What a user can set. `gtm-host check` prints it, and the host refuses everything else.
#[derive(Settings)]
struct AggregateSettings {
    /// The collection of the sums.
    #[setting(default = "shop.daily_totals")]
    target: String,
    /// The field of an order that is added up.
    #[setting(default = "total")]
    field: String,
}

#[plugin(namespace = "shop.orders", operation = insert, settings = AggregateSettings)]
struct Aggregate {
    settings: AggregateSettings,
}

impl Plugin for Aggregate {
    fn new(config: Config) -> Result<Self, ConfigError> {
        Ok(Self { settings: config.parse()? })
    }

    fn handle(&self, op: &Op) -> Outcome {
        let field = &self.settings.field;
        let amount = match op.raw_document()?.get(field)? {
            Some(RawBsonRef::Int32(amount)) => amount.into(),
            Some(RawBsonRef::Int64(amount)) => amount as f64,
            Some(RawBsonRef::Double(amount)) => amount,
            _ => return Err(Failure::reject(format!("{field}: expected a number"))),
        };
        let seconds = i64::from(op.timestamp().time);
        let day: String = DateTime::from_millis(seconds * 1000).to_string().chars().take(10).collect();

        let sums = Collection::new(&self.settings.target);
        // An op that is delivered again is in the list already.
        let uncounted = doc! { "_id": &day, "counted": { "$ne": op.id() } };
        let add = doc! {
            "$inc": { "orders": 1, "sum": amount },
            "$push": { "counted": { "$each": [op.id()], "$slice": -1000 } },
        };
        if sums.update_one(&uncounted, &add)?.matched_count > 0 {
            return Ok(());
        }
        // It was counted before, or it is the first one of its day.
        match sums.upsert_one(&doc! { "_id": &day }, &doc! { "$setOnInsert": { "orders": 0, "sum": 0 } }) {
            // Another order of the day came first.
            Ok(_) | Err(Error::Conflict(_)) => {}
            Err(error) => return Err(error.into()),
        }
        sums.update_one(&uncounted, &add)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use gtm_plugin::testing::{Harness, insert};

    use super::*;

    #[test]
    fn an_order_is_added_to_its_day() {
        let order = insert("shop.orders", doc! { "_id": 1, "total": 120 });
        let run = Harness::new().run::<Aggregate>(&order);
        assert_eq!(run.outcome, Some(Ok(())));
        let (namespace, write) = &run.writes[0];
        assert_eq!(namespace, "shop.daily_totals");
        let uncounted = write.get_document("update").unwrap();
        assert_eq!(uncounted.get_str("_id").unwrap().len(), "2026-01-31".len());
        assert_eq!(uncounted.get_document("counted").unwrap(), &doc! { "$ne": order.id() });
        let add = write.get_document("by").unwrap();
        assert_eq!(add.get_document("$inc").unwrap(), &doc! { "orders": 1, "sum": 120.0 });
    }

    #[test]
    fn the_collection_and_the_field_can_be_set() {
        let order = insert("shop.orders", doc! { "_id": 1, "price": 2.5 });
        let run = Harness::new().config("target", "a.sums").config("field", "price").run::<Aggregate>(&order);
        assert_eq!((run.outcome, run.writes[0].0.as_str()), (Some(Ok(())), "a.sums"));
    }

    #[test]
    fn an_order_without_a_number_is_rejected() {
        let run = Harness::new().run::<Aggregate>(&insert("shop.orders", doc! { "_id": 1, "total": "much" }));
        assert_eq!(run.outcome, Some(Err(Failure::reject("total: expected a number"))));
    }
}
