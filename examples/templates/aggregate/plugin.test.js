import assert from "node:assert/strict";
import { test } from "node:test";
import { Harness, insert } from "gtm-plugin/testing";
import * as plugin from "../src/plugin.js";

const order = insert("shop.orders", { _id: 1, total: 120 });

test("an order is added to its day", async () => {
  const run = await new Harness(plugin).run(order);
  assert.deepEqual(run.outcome, { kind: "ok" });
  const [write] = run.writes;
  assert.equal(write.namespace, "shop.daily_totals");
  assert.match(write.update._id, /^\d{4}-\d\d-\d\d$/);
  assert.deepEqual(write.update.counted, { $ne: order.id });
  assert.deepEqual(write.by.$inc, { orders: 1, sum: 120 });
});

test("the collection and the field can be set", async () => {
  const world = new Harness(plugin, { config: { target: "a.sums", field: "price" } });
  const run = await world.run(insert("shop.orders", { _id: 1, price: 2.5 }));
  assert.deepEqual(run.outcome, { kind: "ok" });
  assert.equal(run.writes[0].namespace, "a.sums");
});

test("an order without a number is rejected", async () => {
  const run = await new Harness(plugin).run(insert("shop.orders", { _id: 1, total: "much" }));
  assert.equal(run.outcome?.kind, "reject");
});
