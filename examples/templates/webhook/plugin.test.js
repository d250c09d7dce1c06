import assert from "node:assert/strict";
import { test } from "node:test";
import { Harness, insert } from "gtm-plugin/testing";
import * as plugin from "../src/plugin.js";

const order = insert("shop.orders", { _id: 1, total: 120 });
const harness = (status) =>
  new Harness(plugin, { config: { url: "https://api.example.com/orders", token: "secret" }, server: () => ({ status }) });

test("an order is sent", async () => {
  const run = await harness(200).run(order);
  assert.deepEqual(run.outcome, { kind: "ok" });
  assert.equal(run.requests[0].url, "https://api.example.com/orders");
  assert.equal(run.requests[0].headers.authorization, "Bearer secret");
  assert.deepEqual(JSON.parse(run.requests[0].text ?? ""), { _id: 1, total: 120 });
});

test("a busy server is asked again, and a refusal is final", async () => {
  assert.equal((await harness(503).run(order)).outcome?.kind, "retry");
  assert.equal((await harness(400).run(order)).outcome?.kind, "reject");
});

test("orders are subscribed to", async () => {
  const { subscriptions } = await harness(200).init();
  assert.deepEqual(subscriptions, [{ namespace: "*.orders", operationTypes: ["insert", "update", "replace"] }]);
});

test("the url is required", async () => {
  await assert.rejects(new Harness(plugin).init(), /the setting url is missing/);
});
