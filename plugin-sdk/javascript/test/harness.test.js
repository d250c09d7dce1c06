import assert from "node:assert/strict";
import { test } from "node:test";
import { HttpError, MailError, Reject, config, extendedJson, http, log, mail, metrics, mongodb, state } from "gtm-plugin";
import { Harness, insert } from "gtm-plugin/testing";

const op = insert("app.users", { _id: 1, name: "Ada" });
const run = (handle, options) => new Harness({ handle }, options).run(op);

test("what a plugin does is taken down", async () => {
  const { mails, requests, writes, log: lines, counters } = await run(() => {
    mail.send({ to: "ada@example.com", cc: ["a@b.c"], subject: "s", text: config.get("text") });
    http.fetch("http://x/", { method: "POST", body: "hé", headers: { "x-a": ["1"] } });
    mongodb.collection("a.b").updateOne({ _id: 1 }, { $set: { n: 1 } }, { upsert: true });
    log.info("done");
    metrics.count("mails");
    metrics.count("mails", 2);
  }, { config: { text: "Hello" } });
  assert.deepEqual([mails[0].to, mails[0].cc, mails[0].text], [["ada@example.com"], ["a@b.c"], "Hello"]);
  assert.deepEqual([requests[0].text, requests[0].headers], ["hé", { "x-a": "1" }]);
  assert.deepEqual(writes, [{ namespace: "a.b", update: { _id: 1 }, by: { $set: { n: 1 } }, many: false, upsert: true }]);
  assert.deepEqual(lines, [{ level: "info", message: "done" }]);
  assert.deepEqual(counters, { mails: 3 });
});

test("servers and collections answer what the test says", async () => {
  const seen = [];
  const server = ({ url }) => (url.endsWith("/busy") ? { status: 503, body: "later" } : { headers: { "X-A": "1" }, body: { ok: true } });
  const handle = () => {
    const response = http.fetch("http://x/");
    seen.push(response.json(), response.headers.get("x-a"), response.ok, mongodb.collection("a.b").findOne());
    http.fetch("http://x/busy").check();
  };
  const { outcome } = await run(handle, { server, collections: { "a.b": [{ _id: 1 }, { _id: 2 }] } });
  assert.deepEqual(seen, [{ ok: true }, "1", true, { _id: 1 }]);
  assert.deepEqual(outcome, { kind: "retry", reason: "the server cannot do it now and answers with status 503: later" });
});

test("what the host refuses is an error with its kind", async () => {
  const send = () => mail.send({ to: "ada@example.com", text: "x" });
  const failed = await run(send, { mailError: new MailError("rejected", "550 no") });
  assert.deepEqual(failed.outcome, { kind: "reject", reason: "550 no" });
  const server = () => {
    throw new HttpError("not-granted", "http is not granted");
  };
  assert.deepEqual((await run(() => http.fetch("http://x/"), { server })).outcome, { kind: "retry", reason: "http is not granted" });
  const filter = () => {
    assert.throws(send, { kind: "not-granted" });
    assert.throws(() => state.get("k"), { kind: "not-granted" });
    return false;
  };
  assert.equal((await new Harness({ filter, handle: send }).run(op)).wanted, false);
});

test("state lasts from one op to the next", async () => {
  const handle = async (op) => {
    await null;
    if (!state.compareAndSwap(op.id, undefined, "seen")) throw new Reject(state.getString(op.id));
  };
  const world = new Harness({ handle });
  assert.deepEqual((await world.run(op)).outcome, { kind: "ok" });
  assert.deepEqual((await world.run(op)).outcome, { kind: "reject", reason: "seen" });
  assert.equal(world.state.size, 1);
});

test("a batch is run, and so is one op by a plugin of batches", async () => {
  const handleBatch = (ops) => ops.map((op) => (op.id === "bad" ? new Reject("bad") : undefined));
  const world = new Harness({ handleBatch });
  const { outcomes } = await world.runBatch([op, insert("app.users", {}, { id: "bad" })]);
  assert.deepEqual(outcomes, [{ kind: "ok" }, { kind: "reject", reason: "bad" }]);
  assert.deepEqual((await world.run(op)).outcome, { kind: "ok" });
});

test("Extended JSON goes there and back", async () => {
  const json = '{"n":{"$numberLong":"9223372036854775807"},"d":{"$numberDouble":"-0.0"}}';
  const { outcome, log: lines } = await run(() => log.info(extendedJson.canonical(extendedJson.parse(json))));
  assert.deepEqual([outcome, lines[0].message], [{ kind: "ok" }, json]);
  assert.equal((await run(() => extendedJson.parse("{"))).outcome.kind, "reject");
});

test("outside of a plugin's functions there is no host", () => {
  assert.throws(() => config.get("x"), /^Error: config is used outside of a plugin's functions/);
});
