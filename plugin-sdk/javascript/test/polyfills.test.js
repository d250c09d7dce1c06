import assert from "node:assert/strict";
import { test } from "node:test";

// What QuickJS has, and not each Node.
Uint8Array.prototype.toBase64 ??= function () {
  return Buffer.from(this.buffer, this.byteOffset, this.byteLength).toString("base64");
};
Uint8Array.fromBase64 ??= (text) => new Uint8Array(Buffer.from(text, "base64"));

const ours = await import("../src/polyfills/text.js");
const { Promise: Driven, settled } = await import("../src/promise.js");

test("text is encoded as Node does", () => {
  for (const text of ["", "Ada", "Zoë 日本 😀", "\0\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10ffff}", "half \ud800 pair", "\ufeffx"]) {
    assert.deepEqual(new ours.TextEncoder().encode(text), new TextEncoder().encode(text));
    const small = [new Uint8Array(7), new Uint8Array(7)];
    assert.deepEqual(new ours.TextEncoder().encodeInto(text, small[0]), new TextEncoder().encodeInto(text, small[1]));
    assert.deepEqual(small[0], small[1]);
  }
});

test("any bytes are decoded as Node does", () => {
  let state = 3;
  const random = (most) => (state = (state * 1103515245 + 12345) % 2147483648) % most;
  const leads = [0x41, 0x80, 0xc1, 0xc3, 0xe0, 0xe2, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff, 0x9f, 0xa0, 0x8f, 0x90, 0xbf, 0xbb];
  for (let round = 0; round < 20_000; round++) {
    const bytes = Uint8Array.from({ length: random(12) }, () => (random(3) ? leads[random(leads.length)] : random(256)));
    const by = (TextDecoder, options) => {
      try {
        return new TextDecoder("utf-8", options).decode(bytes);
      } catch (error) {
        return error.name;
      }
    };
    for (const options of [{}, { fatal: true }, { ignoreBOM: true }]) {
      assert.equal(by(ours.TextDecoder, options), by(TextDecoder, options), Buffer.from(bytes).toString("hex"));
    }
  }
});

test("what comes in parts is decoded as a whole", () => {
  const bytes = new TextEncoder().encode("Zoë 日本 😀");
  const decoder = new ours.TextDecoder();
  let text = "";
  for (const byte of bytes) text += decoder.decode(Uint8Array.of(byte), { stream: true });
  assert.equal(text + decoder.decode(), "Zoë 日本 😀");
  decoder.decode(bytes.subarray(0, -1), { stream: true });
  assert.equal(decoder.decode(), "\ufffd");
});

test("promises keep their order and come together", () => {
  const order = [];
  settled("test", () => {
    Driven.resolve().then(() => order.push(1)).then(() => order.push(3));
    Driven.resolve().then(() => order.push(2));
  });
  assert.deepEqual(order, [1, 2, 3]);
  const value = (promise) => settled("test", () => promise);
  assert.deepEqual(value(Driven.all([1, Driven.resolve(2), { then: (done) => done(3) }])), [1, 2, 3]);
  assert.deepEqual(value(Driven.all([])), []);
  assert.equal(value(Driven.any([Driven.reject(1), 2])), 2);
  assert.equal(value(Driven.race([new Driven(() => {}), 2])), 2);
  assert.deepEqual(value(Driven.allSettled([Driven.reject(1)])), [{ status: "rejected", reason: 1 }]);
  assert.equal(value(Driven.resolve(1).finally(() => 2)), 1);
  assert.throws(() => value(Driven.any([Driven.reject(1)])), AggregateError);
  assert.throws(() => value(Driven.all([1, Driven.reject(new RangeError("x"))])), RangeError);
});
