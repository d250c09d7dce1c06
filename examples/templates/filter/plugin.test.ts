import assert from "node:assert/strict";
import { test } from "node:test";
import { Harness, delete as remove, insert } from "gtm-plugin/testing";
import * as plugin from "../src/plugin.ts";

const world = new Harness(plugin, { config: { values: ["eu", "uk"] } });

test("the orders of the regions pass", async () => {
  for (const [region, passes] of [["eu", true], ["uk", true], ["us", false]] as const) {
    const run = await world.run(insert("shop.orders", { _id: 1, region }));
    assert.equal(run.wanted, passes);
  }
  assert.equal((await world.run(insert("shop.orders", { _id: 1 }))).wanted, false);
});

test("a deletion passes", async () => {
  assert.equal((await world.run(remove("shop.orders", { _id: 1 }))).wanted, true);
});

test("a misspelt setting is refused", async () => {
  await assert.rejects(new Harness(plugin, { config: { value: "eu" } }).init(), /unknown setting value/);
});
