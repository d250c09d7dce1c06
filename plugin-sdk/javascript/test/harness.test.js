import assert from "node:assert/strict";
import { test } from "node:test";
import { HttpError, MailError, MongodbError, Reject, config, defineSettings, extendedJson, http, log, mail, metrics, mongodb, state } from "gtm-plugin";
import { Harness, insert, update } from "gtm-plugin/testing";

const op = insert("app.users", { _id: 1, name: "Ada" });
const run = (handle, options) => new Harness({ handle }, options).run(op);

test("what a plugin does is taken down", async () => {
  const { mails, requests, writes, log: lines, counters, gauges, recorded } = await run(() => {
    mail.send({ to: "ada@example.com", cc: ["a@b.c"], subject: "s", text: config.get("text") });
    http.fetch("http://x/", { method: "POST", body: "hé", headers: { "x-a": ["1"] } });
    mongodb.collection("a.b").updateOne({ _id: 1 }, { $set: { n: 1 } }, { upsert: true });
    log.info("done");
    metrics.count("mails");
    metrics.count("mails", 2);
    metrics.gauge("level", 0.5);
    metrics.record("seconds", 0.01);
  }, { config: { text: "Hello" } });
  assert.deepEqual([mails[0].to, mails[0].cc, mails[0].text], [["ada@example.com"], ["a@b.c"], "Hello"]);
  assert.deepEqual([requests[0].text, requests[0].headers], ["hé", { "x-a": "1" }]);
  assert.deepEqual(writes, [{ namespace: "a.b", update: { _id: 1 }, by: { $set: { n: 1 } }, many: false, upsert: true }]);
  assert.deepEqual(lines, [{ level: "info", message: "done" }]);
  assert.deepEqual([counters, gauges, recorded], [{ mails: 3 }, { level: 0.5 }, { seconds: [0.01] }]);
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
  const write = () => mongodb.collection("a.b").insertOne({ _id: 1 });
  const unwritten = await run(write, { writeError: new MongodbError("conflict", "exists") });
  assert.deepEqual([unwritten.outcome, unwritten.writes], [{ kind: "reject", reason: "exists" }, []]);
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

test("settings are checked, and have their types", async () => {
  const settings = defineSettings({
    url: { type: "text", required: true, formerNames: ["address"] },
    wait: { type: "duration", default: "1m 30s" },
    size: { type: "size", default: "1.5 MiB" },
    tags: { type: "texts", default: [] },
    mode: { type: "choice", choices: ["a", "b"] },
  });
  const init = async (config) => (await new Harness({ settings, handle() {} }, { config }).init()).config;
  assert.deepEqual(await init({ url: "x" }), { url: "x", wait: 90_000, size: 1_572_864, tags: [] });
  assert.deepEqual(await init({ address: "x", wait: "5ms", tags: ["a", "b"], mode: "b" }), {
    url: "x", wait: 5, size: 1_572_864, tags: ["a", "b"], mode: "b",
  });
  const refuses = (config, message) => assert.rejects(init(config), { message });
  await refuses({}, "the setting url is missing");
  await refuses({ url: "x", wat: "5s" }, "unknown setting wat: the settings of the plugin are url, wait, size, tags, mode");
  await refuses({ url: "x", wait: 5 }, 'the setting wait is "5", which is not valid for the type duration');
  await refuses({ url: "x", mode: "c" }, 'the setting mode is "c", which is not valid for the type choice');
  await refuses({ url: "x", address: "y" }, "the settings url and address are both set, and are the same");
});

test("init runs before the first op, and its subscriptions depend on the settings", async () => {
  let begun = 0;
  const init = ({ url }) => {
    begun++;
    if (url === "bad") throw new Error("the setting url is bad");
    assert.throws(() => state.get("k"), { kind: "not-granted" });
  };
  const subscriptions = ({ url }) => [{ namespace: `${url}.*`, operationTypes: ["insert"] }];
  const handle = (_, { url }) => log.info(url);
  const world = new Harness({ init, subscriptions, handle }, { config: { url: "shop" } });
  assert.deepEqual((await world.run(op)).log, [{ level: "info", message: "shop" }]);
  assert.deepEqual((await world.init()).subscriptions, [{ namespace: "shop.*", operationTypes: ["insert"] }]);
  assert.equal(begun, 1);
  await assert.rejects(new Harness({ init, handle }, { config: { url: "bad" } }).run(op), { message: "the setting url is bad" });
});

test("a server that asks to wait is asked again no sooner", async () => {
  const answers = (retryAfter, status = 503) => run(() => http.fetch("http://x/").check(), { server: () => ({ status, headers: { "Retry-After": retryAfter } }) });
  assert.equal((await answers("120")).outcome.after, 120_000);
  assert.equal((await answers(" 3 ", 429)).outcome.after, 3000);
  const { after } = (await answers(new Date(Date.now() + 60_000).toUTCString())).outcome;
  assert.ok(after > 50_000 && after <= 60_000, `${after}`);
  assert.equal((await answers("Fri, 31 Dec 1999 23:59:59 GMT")).outcome.after, 0);
  assert.equal((await answers("soon")).outcome.after, undefined);
  assert.equal((await answers("120", 404)).outcome.kind, "reject");
});

test("a request has a time-out and an idempotency key", async () => {
  const { requests } = await run(() => http.fetch("http://x/", { method: "POST", timeout: 500, idempotencyKey: op.id }));
  assert.deepEqual([requests[0].timeout, requests[0].headers], [500, { "Idempotency-Key": op.id }]);
});

test("a timer ticks", async () => {
  const tick = ({ timer, at }, { n }) => {
    log.info(`${timer} ${at.toISOString()} ${n}`);
    if (at.getUTCMinutes() > 0) throw new Reject("not now");
  };
  const harness = new Harness({ timers: { chime: { schedule: "1h", tick } } }, { config: { n: 5 } });
  const { log: lines, outcome } = await harness.tick("chime", new Date("2026-01-31T12:00:00Z"));
  assert.deepEqual([lines[0].message, outcome], ["chime 2026-01-31T12:00:00.000Z 5", { kind: "ok" }]);
  const late = await harness.tick("chime", new Date("2026-01-31T12:01:00Z"));
  assert.deepEqual(late.outcome, { kind: "reject", reason: "not now" });
  await assert.rejects(harness.tick("gong"), /has no timer gong/);
});

test("an update has its description", async () => {
  const changed = update("app.users", { _id: 1, n: 2 }, { updatedFields: { n: 2 } });
  const handle = (op) => log.info(JSON.stringify(op.updateDescription()));
  const { log: lines } = await new Harness({ handle }).run(changed);
  assert.equal(lines[0].message, '{"updatedFields":{"n":2}}');
});

test("state has numbers, pages and times to live", async () => {
  const handle = () => {
    assert.deepEqual([state.increment("n"), state.increment("n", -3)], [1, -2]);
    state.set("a", "1", { timeToLive: 60_000 });
    state.set("past", "1", { timeToLive: 0 });
    assert.equal(state.get("past"), undefined);
    assert.equal(state.compareAndSwap("a", "1", "2", { timeToLive: 60_000 }), true);
    const keys = (...asked) => state.list(...asked).map(({ key }) => key);
    assert.deepEqual([keys(), keys("n"), keys("", { limit: 1 }), keys("", { after: "a" })], [["a", "n"], ["n"], ["a"], ["n"]]);
    const [{ timeToLive }] = state.list("a");
    assert.ok(timeToLive > 50_000 && timeToLive <= 60_000);
    assert.equal(state.list("n")[0].timeToLive, undefined);
    assert.deepEqual(state.quota(), { keys: 2, maxKeys: 100_000, bytes: 5, maxBytes: 256 * 2 ** 20 });
    assert.throws(() => state.increment("n", 0.5), RangeError);
    state.set("a", "text");
    state.increment("a");
  };
  assert.deepEqual((await run(handle)).outcome, { kind: "reject", reason: "the value of a is not a number" });
});
