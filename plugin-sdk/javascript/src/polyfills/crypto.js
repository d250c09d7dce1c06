// Random numbers from the host. QuickJS seeds its own once, while the plugin is built, so that each instance would draw the same.

import * as host from "#host/random";
import { isRunning } from "#host/running";

/** Bytes that are asked for at once: a call costs more than they do. */
const AT_ONCE = 1024;

let pool = new Uint8Array();
let taken = 0;

function random(length) {
  if (!isRunning()) {
    throw new Error("random bytes are drawn where the plugin is built, so that each instance would have the same: draw them in handle");
  }
  if (length > AT_ONCE) return host.getRandomBytes(length);
  if (taken + length > pool.length) {
    pool = host.getRandomBytes(AT_ONCE);
    taken = 0;
  }
  return pool.subarray(taken, (taken += length));
}

const baked = Math.random;

Math.random = () => {
  if (!isRunning()) return baked();
  const bytes = random(8);
  const view = new DataView(bytes.buffer, bytes.byteOffset, 8);
  // 53 bits, as a double holds them.
  return (view.getUint32(0) * 2 ** 21 + (view.getUint32(4) >>> 11)) / 2 ** 53;
};

function getRandomValues(array) {
  if (!ArrayBuffer.isView(array) || array instanceof DataView || array instanceof Float32Array || array instanceof Float64Array) {
    throw new TypeError("getRandomValues fills an array of whole numbers");
  }
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  bytes.set(random(bytes.length));
  return array;
}

function randomUUID() {
  const bytes = new Uint8Array(random(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return bytes.toHex().replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

globalThis.crypto ??= { getRandomValues, randomUUID };
