import assert from "node:assert/strict";
import { test } from "node:test";
import { Harness, delete as remove, insert } from "gtm-plugin/testing";
import * as plugin from "../src/plugin.js";

const ada = { _id: 1, name: "Ada", email: "ada@example.com" };

test("a new user is welcomed", async () => {
  const run = await new Harness(plugin, { config: { subject: "Hi" } }).run(insert("app.users", ada));
  assert.deepEqual(run.outcome, { kind: "ok" });
  assert.equal(run.mails.length, 1);
  assert.deepEqual(run.mails[0].to, ["ada@example.com"]);
  assert.equal(run.mails[0].subject, "Hi");
  assert.equal(run.mails[0].text, "Hello Ada");
});

test("a misspelt setting is refused", async () => {
  await assert.rejects(new Harness(plugin, { config: { subjct: "Hi" } }).init(), /unknown setting subjct/);
});

test("only what is inserted into users is wanted", async () => {
  const world = new Harness(plugin);
  assert.equal((await world.run(insert("app.orders", ada))).wanted, false);
  assert.equal((await world.run(remove("app.users", { _id: 1 }))).wanted, false);
});

test("a document without e-mail is rejected", async () => {
  const run = await new Harness(plugin).run(insert("app.users", { _id: 1, name: "Ada" }));
  assert.deepEqual(run.outcome, { kind: "reject", reason: "email: expected a string, found nothing" });
  assert.deepEqual(run.mails, []);
});
