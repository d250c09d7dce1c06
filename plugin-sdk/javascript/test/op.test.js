import assert from "node:assert/strict";
import { test } from "node:test";
import { BSONRegExp, Long, ObjectId, serialize } from "bson";
import { insert, op, delete as remove, update } from "gtm-plugin/testing";

const fullDocument = (document) => op("insert", "shop.orders.2026", { fullDocument: document });

test("a document is decoded once", () => {
  const order = fullDocument({ item: "pen" });
  assert.equal(order.document().item, "pen");
  assert.equal(order.document(), order.document());
  assert.notEqual(order.document({ promoteValues: false }), order.document());
});

test("an int64 keeps its digits", () => {
  const { small, large } = fullDocument({ small: Long.fromNumber(5), large: Long.MAX_VALUE }).document();
  assert.equal(small, 5);
  assert.equal(large.toString(), "9223372036854775807");
});

test("a regular expression that JavaScript does not know is no obstacle", () => {
  const { pattern } = fullDocument({ pattern: new BSONRegExp("(?i)a[", "i") }).document();
  assert.equal(pattern.pattern, "(?i)a[");
});

test("a field of another type is named", () => {
  const { field } = Object.getPrototypeOf(fullDocument({}));
  const document = fullDocument({ email: { home: "x" }, tags: ["a", 1.5], id: new ObjectId(), n: 5, gone: null, "a.b": true });
  const says = (path, type, message) => assert.throws(() => field.call(document, path, type), { name: "DecodeError", message });
  says("email", "string", "email: expected a string, found an object");
  says("email.work", "string", "email.work: expected a string, found nothing");
  says("tags.1", "string", "tags.1: expected a string, found a double");
  says("id", "object", "id: expected an object, found an ObjectId");
  says("n", "date", "n: expected a date, found an integer");
  says("gone", "array", "gone: expected an array, found null");
  assert.equal(document.field("email.home", "string"), "x");
  assert.equal(document.field("tags.0", "string"), "a");
  assert.equal(document.field("a.b", "boolean"), true);
  assert.throws(() => document.field("n", "int"), /int is not a type of a field: string, number/);
});

test("what is missing and what is no BSON are told apart", () => {
  const rejected = (message) => ({ name: "DecodeError", message });
  const gone = remove("shop.orders", { _id: 1 });
  assert.throws(() => gone.document(), rejected("this op has no document"));
  assert.throws(() => gone.rawDocument(), rejected("this op has no document"));
  assert.throws(() => gone.updateDescription(), rejected("this op has no update description"));
  assert.throws(() => fullDocument(Buffer.from("no bson")).document(), /^DecodeError: the document cannot be decoded: /);
});

test("any bytes are a document or a DecodeError", () => {
  const good = serialize({ a: 1, b: "xyz", c: { d: [1, 2.5, { e: Long.ONE }] }, f: new Date(), g: /x/i, h: null });
  let state = 7;
  const random = (most) => (state = (state * 1103515245 + 12345) % 2147483648) % most;
  let refused = 0;
  for (let round = 0; round < 5000; round++) {
    const bytes = new Uint8Array(good);
    for (let times = random(4); times >= 0; times--) bytes[random(bytes.length)] = random(256);
    try {
      fullDocument(bytes).document();
    } catch (error) {
      assert.equal(error.name, "DecodeError");
      refused++;
    }
  }
  assert.ok(refused > 1000 && refused < 5000, `${refused} were refused`);
});

test("documents as deep as bytes allow are decoded", () => {
  let bytes = Buffer.from([5, 0, 0, 0, 0]);
  for (let level = 0; level < 2000; level++) {
    const head = Buffer.from([0, 0, 0, 0, 3, 97, 0]);
    head.writeInt32LE(bytes.length + 8);
    bytes = Buffer.concat([head, bytes, Buffer.of(0)]);
  }
  assert.equal(typeof fullDocument(bytes).document().a, "object");
});

test("an op says what it is", () => {
  const changed = update("app.users", { _id: 1, n: 2 }, { updatedFields: { n: 2 } }, { attempt: 3 });
  assert.equal(changed.isUpdate, true);
  assert.equal(changed.isCommand, false);
  assert.equal(changed.namespace, "app.users");
  assert.equal(changed.attempt, 3);
  assert.deepEqual(changed.documentKey(), { _id: 1 });
  assert.deepEqual(changed.updateDescription(), { updatedFields: { n: 2 } });
  assert.deepEqual(changed.wallTime, new Date(1_700_000_000_000));
  const dropped = op("dropDatabase", "app");
  assert.deepEqual([dropped.operationType, dropped.isCommand, dropped.namespace], ["dropDatabase", true, "app"]);
});

test("a namespace is like a pattern or not", () => {
  const orders = insert("shop.orders.2026", {});
  for (const patterns of ["*", "shop.*", "*.orders.*", "users.users, shop.orders.2026", "s*p.o*2*6", "shop.orders.2026*"]) {
    assert.ok(orders.matches(patterns), patterns);
  }
  for (const patterns of ["", "shop", "shop.orders", "*orders", "shop.*7", "orders.*", "shop.orders.2026*6"]) {
    assert.ok(!orders.matches(patterns), patterns);
  }
});
