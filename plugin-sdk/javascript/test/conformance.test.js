// The cases that all SDKs share. `cargo xtask test languages` names their folder.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { EJSON } from "bson";
import { HttpError } from "gtm-plugin";
import { Harness, insert, op } from "gtm-plugin/testing";

const folder = process.env.GTM_CONFORMANCE ?? join(import.meta.dirname, "../../conformance");
const cases = (name) => readFileSync(join(folder, name), "utf8").trimEnd().split("\n").map((line) => JSON.parse(line));

/** Runs work in a plugin. */
const within = async (work) => {
  let result;
  await new Harness({ handle: () => void (result = work()) }).run(insert("a.b", { _id: 1 }));
  return result;
};

test("change events are those of each SDK", async () => {
  for (const { op: { operationType, database, collection, ...more }, relaxed, canonical } of cases("change_events.jsonl")) {
    for (const part of ["documentKey", "fullDocument", "fullDocumentBeforeChange", "updateDescription", "command"]) {
      if (more[part]) more[part] = EJSON.deserialize(more[part], { relaxed: false });
    }
    const namespace = collection ? `${database}.${collection}` : database;
    const change = op(operationType, namespace, { wallTime: undefined, ...more });
    assert.equal(await within(() => change.toChangeEvent()), relaxed);
    assert.equal(await within(() => change.toChangeEvent({ canonical: true })), canonical);
  }
});

test("patterns match the namespaces of each SDK", () => {
  for (const { patterns, namespace, matches } of cases("namespaces.jsonl")) {
    assert.equal(op("insert", namespace).matches(patterns), matches, `${patterns} ${namespace}`);
  }
});

test("errors become the failures of each SDK", async () => {
  for (const { error, failure } of cases("errors.jsonl")) {
    const plugin = { handle: () => { throw new HttpError(error, "x"); } };
    const { outcome } = await new Harness(plugin).run(insert("a.b", { _id: 1 }));
    assert.equal(outcome.kind, failure, error);
  }
});

test("ops of a test have ids of their own", () => {
  const [one, other] = [insert("a.b", { _id: 1 }), insert("a.b", { _id: 1 })];
  assert.match(one.id, /^1700000000\.\d+\.0$/);
  assert.notEqual(one.id, other.id);
  assert.equal(other.timestamp.increment, one.timestamp.increment + 1);
});
