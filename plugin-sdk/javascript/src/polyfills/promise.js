// The promises of src/promise.js, in the place of QuickJS's own.

import { Promise, queueMicrotask } from "../promise.js";

globalThis.Promise = Promise;
globalThis.queueMicrotask = queueMicrotask;

Array.fromAsync = async function fromAsync(items, change = (item) => item) {
  const list = [];
  const all = items[Symbol.asyncIterator] || items[Symbol.iterator] ? items : Array.from(items);
  for await (const item of all) list.push(await change(item, list.length));
  return list;
};
