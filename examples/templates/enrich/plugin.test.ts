import assert from "node:assert/strict";
import { test } from "node:test";
import { Harness, insert } from "gtm-plugin/testing";
import * as plugin from "../src/plugin.ts";

const user = (zip: string) => insert("app.users", { _id: 1, zip });
const harness = (body: object) => new Harness(plugin, { config: { url: "https://api.example.com/places" }, server: () => ({ body }) });

test("a user gets a city", async () => {
  const run = await harness({ city: "Berlin" }).run(user("10115"));
  assert.deepEqual(run.outcome, { kind: "ok" });
  assert.equal(run.requests[0].url, "https://api.example.com/places/10115");
  assert.equal(run.writes[0].namespace, "app.users");
  assert.deepEqual(run.writes[0].by, { $set: { city: "Berlin" } });
});

test("a zip that does not belong into a URL is rejected", async () => {
  const run = await harness({}).run(user("../secrets"));
  assert.equal(run.outcome?.kind, "reject");
  assert.deepEqual(run.requests, []);
});

test("an answer without a city is rejected", async () => {
  assert.equal((await harness({}).run(user("10115"))).outcome?.kind, "reject");
});

test("a user without a zip is not wanted", async () => {
  assert.equal((await harness({}).run(insert("app.users", { _id: 1 }))).wanted, false);
});
