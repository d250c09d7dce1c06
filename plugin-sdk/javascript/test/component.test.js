import assert from "node:assert/strict";
import { test } from "node:test";
import { MailError, Reject, Retry } from "gtm-plugin";
import { component } from "gtm-plugin/component";
import { Promise as Driven } from "../src/promise.js";
import { enter } from "../src/testing/world.js";

const OP = { id: "1", operationType: "insert", database: "app", collection: "users" };

/** What the host sees of a function of the plugin. */
function called(plugin, name, ...given) {
  const world = { run: { log: [] } };
  return enter(world, () => {
    try {
      return component(plugin)[name](...given);
    } catch (thrown) {
      return { thrown };
    }
  });
}

const handled = (handle) => called({ handle }, "handle", OP);
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
  const world = { run: { log: [] } };
  const handle = thrower(new Error("no greeting", { cause: new TypeError("x is undefined") }));
  enter(world, () => assert.throws(() => component({ handle }).handle(OP)));
  assert.equal(world.run.log.length, 1);
  const [{ level, message }] = world.run.log;
  assert.equal(level, "error");
  assert.match(message, /^Error: no greeting\n(.|\n)*component\.test\.js(.|\n)*\ncaused by TypeError: x is undefined\n/);
});

test("promises are gone on with before the host has its answer", () => {
  const later = (work) => () => Driven.resolve().then(work);
  assert.equal(handled(later(() => "ignored")), undefined);
  assert.deepEqual(handled(later(thrower(new Reject("never")))).thrown, { tag: "reject", val: "never" });
  assert.equal(called({ handle() {}, filter: later(() => false) }, "filter", OP), false);
  assert.match(handled(() => new Driven(() => {})).thrown.val, /^handle gave back a promise that nothing keeps/);
  const forgotten = () => void Driven.reject(new TypeError("forgotten"));
  assert.deepEqual(handled(forgotten).thrown, { tag: "retry", val: "TypeError: forgotten" });
  assert.equal(handled(() => void Driven.reject(1).catch(() => {})), undefined);
});

test("a filter wants the op or not", () => {
  const wanted = (filter) => called({ handle() {}, filter }, "filter", OP);
  assert.equal(wanted(undefined), true);
  assert.equal(wanted(() => undefined), false);
  assert.equal(wanted(() => 1), true);
  // handle says what becomes of what cannot be decoded; the host asks again where something else is wrong.
  assert.equal(wanted((op) => op.document()), true);
  assert.deepEqual(wanted(thrower(new TypeError("bug"))), { thrown: "TypeError: bug" });
});

test("a batch has an outcome for each op", () => {
  const outcomes = (handleBatch) => called({ handleBatch }, "handleBatch", [OP, OP]);
  const ok = { tag: "ok" };
  const err = (tag, val) => ({ tag: "err", val: { tag, val } });
  assert.deepEqual(outcomes(() => {}), [ok, ok]);
  assert.deepEqual(outcomes(() => [undefined, new Reject("no")]), [ok, err("reject", "no")]);
  assert.deepEqual(outcomes(() => [null, new RangeError("x")]), [ok, err("retry", "RangeError: x")]);
  assert.deepEqual(outcomes(() => [, true])[1], err("retry", "TypeError: handleBatch gave back an outcome that is boolean"));
  assert.deepEqual(outcomes(() => [undefined])[1].val.val, "TypeError: handleBatch gave back 1 outcomes of 2 ops");
  assert.deepEqual(outcomes(thrower(new Reject("all"))), [err("reject", "all"), err("reject", "all")]);
  // A plugin of batches only handles one op as a batch of one.
  assert.deepEqual(called({ handleBatch: () => [new Reject("one")] }, "handle", OP), { thrown: { tag: "reject", val: "one" } });
});

test("subscriptions are those of the contract", () => {
  const subscriptions = (subscriptions) => called({ handle() {}, subscriptions }, "subscriptions");
  assert.deepEqual(subscriptions([{ namespace: "a.*", operationTypes: ["insert", "dropDatabase"] }]), [
    { namespace: "a.*", operationTypes: ["insert", "drop-database"] },
  ]);
  assert.deepEqual(subscriptions(() => [{}]), [{ namespace: "*", operationTypes: [] }]);
  const wrong = { handle() {}, subscriptions: [{ operationTypes: ["inserts"] }] };
  assert.throws(() => component(wrong), /inserts is no operation type/);
});
