import assert from "node:assert/strict";
import { test } from "node:test";
import { HttpError, MailError, Reject, Retry } from "gtm-plugin";
import { component } from "gtm-plugin/component";
import { Promise as Driven } from "../src/promise.js";
import { enter } from "../src/testing/world.js";

const OP = { id: "1", operationType: "insert", database: "app", collection: "users" };

/** Returns what the host sees of a function of the plugin: its result, or `{ thrown }`. */
function called(plugin, name, ...given) {
  const [interfaceName, functionName] = name.split(".");
  const world = { config: [["wait", "10000"]], run: { log: [] } };
  return enter(world, () => {
    try {
      return component(plugin)[interfaceName][functionName](...given);
    } catch (thrown) {
      return { thrown };
    }
  });
}

const handled = (handle) => called({ handle }, "handler.handle", OP);
const thrower = (thrown) => () => {
  throw thrown;
};

test("what handle throws says what becomes of the op", () => {
  const retry = (val) => ({ thrown: { tag: "retry", val } });
  const reject = (val) => ({ thrown: { tag: "reject", val } });
  assert.equal(handled(() => "ignored"), undefined);
  assert.deepEqual(handled(thrower(new Retry("later"))), retry("later"));
  assert.deepEqual(handled(thrower(new Reject("never"))), reject("never"));
  assert.deepEqual(handled(thrower(new MailError("unavailable", "421"))), retry("421"));
  assert.deepEqual(handled(thrower(new MailError("rejected", "550"))), reject("550"));
  assert.deepEqual(handled((op) => op.document()), reject("this op has no document"));
});

test("what nobody foresaw is tried again, with its text", () => {
  const text = (thrown) => handled(thrower(thrown)).thrown.val;
  assert.equal(text(new TypeError("x is undefined")), "TypeError: x is undefined");
  assert.equal(text("text"), "thrown: text");
  assert.equal(text({ code: 5 }), 'thrown: {"code":5}');
  assert.equal(text(undefined), "thrown: undefined");
  assert.equal(text(Object.create(null)), "thrown: {}");
  assert.equal(text(new Retry("half \ud800")), "half \ufffd");
  assert.equal(handled(thrower("text")).thrown.tag, "retry");
});

test("a failure keeps its causes", () => {
  const text = (thrown) => handled(thrower(thrown)).thrown.val;
  const cause = new TypeError("x is undefined");
  assert.equal(text(new Error("no greeting", { cause })), "Error: no greeting: TypeError: x is undefined");
  assert.equal(text(new Reject("no greeting", { cause })), "no greeting: TypeError: x is undefined");
  assert.equal(text(new Error("said: x is undefined", { cause })), "Error: said: x is undefined");
  assert.equal(text(new AggregateError([cause, new Error("b")], "all")), "AggregateError: all: TypeError: x is undefined: Error: b");
  const turning = new Error("a");
  turning.cause = turning;
  assert.equal(text(turning), "Error: a");
});

test("what nobody foresaw is logged with its stack, and with those of its causes", () => {
  const world = { config: [], run: { log: [] } };
  const handle = thrower(new Error("no greeting", { cause: new TypeError("x is undefined") }));
  enter(world, () => assert.throws(() => component({ handle }).handler.handle(OP)));
  assert.equal(world.run.log.length, 1);
  const [{ level, message }] = world.run.log;
  assert.equal(level, "error");
  assert.match(message, /^Error: no greeting\n(.|\n)*component\.test\.js(.|\n)*\ncaused by TypeError: x is undefined\n/);
});

test("promises are gone on with before the host has its answer", () => {
  const later = (work) => () => Driven.resolve().then(work);
  assert.equal(handled(later(() => "ignored")), undefined);
  assert.deepEqual(handled(later(thrower(new Reject("never")))).thrown, { tag: "reject", val: "never" });
  assert.equal(called({ handle() {}, filter: later(() => false) }, "filter.filter", OP), false);
  assert.match(handled(() => new Driven(() => {})).thrown.val, /^handle returned a promise that nothing resolves/);
  const forgotten = () => void Driven.reject(new TypeError("forgotten"));
  assert.deepEqual(handled(forgotten).thrown, { tag: "retry", val: "TypeError: forgotten" });
  assert.equal(handled(() => void Driven.reject(1).catch(() => {})), undefined);
});

test("a filter wants the op or not", () => {
  const wanted = (filter) => called({ filter }, "filter.filter", OP);
  assert.equal(wanted(() => undefined), false);
  assert.equal(wanted(() => 1), true);
  // handle says what becomes of what cannot be decoded; the host asks again where something else is wrong.
  assert.equal(wanted((op) => op.document()), true);
  assert.deepEqual(wanted(thrower(new TypeError("bug"))), { thrown: "TypeError: bug" });
  const several = (filter) => called({ filter }, "batchFilter.filter", [OP, { ...OP, id: "2" }]);
  assert.deepEqual(several((op) => op.id === "2"), [false, true]);
  assert.ok(several(thrower(new TypeError("bug"))).thrown instanceof TypeError);
});

test("a batch has an outcome for each op", () => {
  const outcomes = (handleBatch) => called({ handleBatch }, "batchHandler.handle", [OP, OP]);
  const ok = { tag: "ok" };
  const err = (tag, val) => ({ tag: "err", val: { tag, val } });
  assert.deepEqual(outcomes(() => {}), [ok, ok]);
  assert.deepEqual(outcomes(() => [undefined, new Reject("no")]), [ok, err("reject", "no")]);
  assert.deepEqual(outcomes(() => [null, new RangeError("x")]), [ok, err("retry", "RangeError: x")]);
  assert.deepEqual(outcomes(() => [, true])[1], err("retry", "TypeError: handleBatch returned an outcome that is boolean"));
  assert.deepEqual(outcomes(() => [undefined])[1].val.val, "TypeError: handleBatch returned 1 outcomes for 2 ops");
  assert.deepEqual(outcomes(thrower(new Reject("all"))), [err("reject", "all"), err("reject", "all")]);
});

test("subscriptions are those of the contract", () => {
  const subscriptions = (subscriptions) => called({ subscriptions }, "lifecycle.init");
  assert.deepEqual(subscriptions([{ namespace: "a.*", operationTypes: ["insert", "dropDatabase"] }]), [
    { namespace: "a.*", operationTypes: ["insert", "drop-database"] },
  ]);
  assert.deepEqual(subscriptions(() => [{}]), [{ namespace: "*", operationTypes: [] }]);
  assert.deepEqual(subscriptions(({ wait }) => [{ namespace: `a.${wait}` }]), [{ namespace: "a.10000", operationTypes: [] }]);
  assert.deepEqual(called({ init() {} }, "lifecycle.init"), []);
  const wrong = { handle() {}, subscriptions: [{ operationTypes: ["inserts"] }] };
  assert.throws(() => component(wrong), /inserts is not an operation type/);
});

test("a timer has a schedule and a function", () => {
  const at = 1769860800000n;
  const ticked = (tick) => called({ timers: { morning: { schedule: "1h", tick } } }, "schedule.tick", { timer: "morning", at, id: "x", attempt: 2 });
  const seen = [];
  assert.equal(ticked((tick, config) => void seen.push(tick, config)), undefined);
  assert.deepEqual(seen[0], { timer: "morning", at: new Date("2026-01-31T12:00:00Z"), id: "x", attempt: 2 });
  assert.deepEqual(ticked(thrower(new Reject("never"))).thrown, { tag: "reject", val: "never" });
  const tick = () => {};
  const timers = { a: { schedule: ({ wait }) => `${wait}ms`, missed: "each", tick }, b: { schedule: "@daily", tick } };
  assert.deepEqual(called({ timers }, "schedule.timers"), [
    { name: "a", schedule: "10000ms", missed: "each" },
    { name: "b", schedule: "@daily", missed: "once" },
  ]);
  assert.match(called({ timers }, "schedule.tick", { timer: "c", at, id: "x", attempt: 1 }).thrown.val, /has no timer c/);
  assert.throws(() => component({ timers: { a: { tick } } }), /the timer a has no schedule/);
  assert.throws(() => component({ timers: { a: { schedule: "1h", missed: "all", tick } } }), /must have one of skip, once, each/);
});

test("a failure says how long to wait", () => {
  const failed = (thrown) => handled(thrower(thrown)).thrown;
  assert.deepEqual(failed(new Retry("busy", { after: 1500.2 })), { tag: "retry-after", val: { delay: 1501, reason: "busy" } });
  assert.deepEqual(failed(new Retry("busy", { after: 0 })), { tag: "retry-after", val: { delay: 0, reason: "busy" } });
  const cause = new TypeError("x");
  assert.deepEqual(failed(new Retry("busy", { after: 1, cause })), { tag: "retry-after", val: { delay: 1, reason: "busy: TypeError: x" } });
  assert.deepEqual(failed(new HttpError("unavailable", "503", { after: 2000 })), { tag: "retry-after", val: { delay: 2000, reason: "503" } });
  assert.deepEqual(called({ filter: thrower(new Retry("busy", { after: 5 })) }, "filter.filter", OP), { thrown: "busy" });
  assert.throws(() => new Retry("busy", { after: -1 }), /after is -1/);
});

test("each kind of error decides what happens to the op", () => {
  const tag = (kind) => handled(thrower(new HttpError(kind, "x"))).thrown.tag;
  assert.deepEqual(["unavailable", "not-granted"].map(tag), ["retry", "retry"]);
  assert.deepEqual(["invalid", "rejected", "conflict", "too-large"].map(tag), ["reject", "reject", "reject", "reject"]);
});

test("declared settings are those of the contract", () => {
  const settings = (settings) => called({ settings }, "lifecycle.settings");
  assert.equal(settings(undefined), undefined);
  const common = { default: undefined, doc: "", required: false, secret: false, formerNames: [] };
  assert.deepEqual(settings({ url: { type: "text", required: true, doc: "d" }, token: { type: "text", secret: true, formerNames: ["t"] } }), [
    { ...common, name: "url", settingType: { tag: "text" }, doc: "d", required: true },
    { ...common, name: "token", settingType: { tag: "text" }, secret: true, formerNames: ["t"] },
  ]);
  const types = { a: { type: "integer", default: 5 }, b: { type: "boolean", default: false }, c: { type: "texts", default: ["x", "y"] } };
  assert.deepEqual(settings(types).map((one) => one.default), ["5", "false", "x,y"]);
  assert.deepEqual(settings({ m: { type: "choice", choices: ["a", "b"] } })[0].settingType, { tag: "choice", val: ["a", "b"] });
  const wrong = (setting, said) => assert.throws(() => component({ settings: { x: setting } }), said);
  wrong({ type: "string" }, /the setting x: string is not a type of a setting: text, integer/);
  wrong({ type: "integer", default: "5" }, /the setting x: its default is not valid for the type integer/);
  wrong({ type: "choice" }, /the setting x: choices is not a list of texts/);
});

test("each function gets the settings, which are read once", () => {
  const seen = [];
  const settings = { wait: { type: "duration" } };
  const plugin = { settings, init: (config) => seen.push(config), filter: (_, config) => seen.push(config), handle: (_, config) => seen.push(config) };
  const world = { config: [["wait", "10000"]], run: { log: [] } };
  enter(world, () => {
    const { lifecycle, filter, handler } = component(plugin);
    lifecycle.init();
    filter.filter(OP);
    handler.handle(OP);
  });
  assert.deepEqual(seen, [{ wait: 10000 }, { wait: 10000 }, { wait: 10000 }]);
  assert.ok(seen[0] === seen[1] && seen[1] === seen[2]);
});

test("an error in init refuses the version with its text", () => {
  const refused = (init) => called({ init }, "lifecycle.init").thrown;
  assert.equal(refused(thrower(new Error("url is not a URL", { cause: new RangeError("x") }))), "url is not a URL: RangeError: x");
  assert.equal(refused(thrower(new Reject("no"))), "no");
  assert.equal(refused(() => undefined.x).slice(0, 11), "TypeError: ");
  assert.match(called({ subscriptions: () => 5 }, "lifecycle.init").thrown, /subscriptions is not a list/);
});
