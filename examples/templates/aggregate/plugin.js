// Adds up the orders of each day: for each order that is inserted into `shop.orders`, it updates the sum of its day.

import { MongodbError, mongodb } from "gtm-plugin";

// Anybody who runs the plugin can set these: --set field=price. The host refuses a setting that is not here.
export const settings = {
  target: { type: "text", default: "shop.daily_totals", doc: "The collection of the sums." },
  field: { type: "text", default: "total", doc: "The field of an order that is added up." },
};

export const subscriptions = [{ namespace: "shop.orders", operationTypes: ["insert"] }];

export function handle(op, config) {
  // If it is missing or has another type, the host rejects the op with a reason that names the field.
  const amount = op.field(config.field, "number");
  const day = new Date(op.timestamp.time * 1000).toISOString().slice(0, 10);

  const sums = mongodb.collection(config.target);
  // An op that is delivered again is in the list already.
  const uncounted = { _id: day, counted: { $ne: op.id } };
  const add = { $inc: { orders: 1, sum: amount }, $push: { counted: { $each: [op.id], $slice: -1000 } } };
  if (sums.updateOne(uncounted, add).matchedCount > 0) return;
  // It was counted before, or it is the first one of its day.
  try {
    sums.updateOne({ _id: day }, { $setOnInsert: { orders: 0, sum: 0 } }, { upsert: true });
  } catch (error) {
    // Another order of the day came first.
    if (!(error instanceof MongodbError && error.kind === "conflict")) throw error;
  }
  sums.updateOne(uncounted, add);
}
