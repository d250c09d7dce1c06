// The cases that all SDKs share. `cargo xtask test languages` names their folder.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { EJSON } from "bson";
import { HttpError, extendedJson, state } from "gtm-plugin";
import { Harness, delete as remove, insert, op, replace, update } from "gtm-plugin/testing";

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

test("documents are the JSON of each SDK", async () => {
  for (const { bson, relaxed, canonical } of cases("extended_json.jsonl")) {
    const bytes = Uint8Array.from(Buffer.from(bson, "hex"));
    assert.equal(await within(() => extendedJson.relaxed(bytes)), relaxed);
    assert.equal(await within(() => extendedJson.canonical(bytes)), canonical);
  }
});

test("ids of a test have the form that a host gives", async () => {
  for (const { source, timer, at, id, form } of cases("ids.jsonl")) {
    if (timer) {
      let due;
      await new Harness({ timers: { [timer]: { schedule: "1h", tick: (tick) => void (due = tick) } } }).tick(timer, new Date(at));
      assert.equal(due.id, id);
    }
    const made = timer ? id : op("insert", "a.b", { origin: source }).id;
    assert.match(made, new RegExp(form));
    assert.match(id, new RegExp(form));
  }
});

test("ops of a test are those of each SDK", async () => {
  const document = (json) => EJSON.deserialize(json, { relaxed: false });
  const makes = {
    insert: (one) => insert(one.namespace, document(one.document)),
    update: (one) => update(one.namespace, document(one.document), document(one.updateDescription)),
    replace: (one) => replace(one.namespace, document(one.document)),
    delete: (one) => remove(one.namespace, document(one.key)),
    command: (one) => op(one.operationType, one.namespace, { command: document(one.command) }),
  };
  for (const one of cases("harness.jsonl")) {
    const change = makes[one.make](one);
    const expected = one.canonical.replaceAll("{increment}", change.timestamp.increment);
    assert.equal(await within(() => change.toChangeEvent({ canonical: true })), expected);
  }
});

test("ops of a test have ids of their own", () => {
  const [one, other] = [insert("a.b", { _id: 1 }), insert("a.b", { _id: 1 })];
  assert.match(one.id, /^1700000000\.\d+\.0$/);
  assert.notEqual(one.id, other.id);
  assert.equal(other.timestamp.increment, one.timestamp.increment + 1);
});

test("state has the limits of the host", async () => {
  const refuses = (kind, work) => assert.throws(work, (error) => error.kind === kind);
  const handle = () => {
    refuses("invalid", () => state.set("", ""));
    refuses("invalid", () => state.get("ü".repeat(257)));
    refuses("too-large", () => state.set("k", new Uint8Array(2 ** 20 + 1)));
    refuses("invalid", () => state.list("x".repeat(513)));
    state.set("a", new Uint8Array(500));
    refuses("unavailable", () => state.set("b", new Uint8Array(500)));
    state.set("b", new Uint8Array(100));
    refuses("unavailable", () => state.set("c", ""));
    state.set("a", "");
    const { keys, maxKeys, bytes, maxBytes } = state.quota();
    assert.deepEqual([keys, maxKeys, Number(bytes), Number(maxBytes)], [2, 2, 102, 1000]);
  };
  const { outcome } = await new Harness({ handle }, { stateQuota: { maxKeys: 2, maxBytes: 1000 } }).run(insert("a.b", { _id: 1 }));
  assert.deepEqual(outcome, { kind: "ok" });
});
