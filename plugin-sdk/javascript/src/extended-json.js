// BSON as Extended JSON (version 2) and back, by the host: exact for each type, and for text of any length faster than JavaScript.

import { assertRunning } from "#host/running";
import * as host from "#host/extended-json";
import { DecodeError, text } from "./errors.js";

function decoded(what, work) {
  assertRunning("extendedJson");
  try {
    return work();
  } catch (thrown) {
    const { tag, val } = thrown?.payload ?? {};
    if (typeof tag !== "string") throw thrown;
    throw new DecodeError(`${what} cannot be decoded: ${val}`);
  }
}

export const relaxed = (bytes) => decoded("the document", () => host.encode(bytes));
export const canonical = (bytes) => decoded("the document", () => host.encodeCanonical(bytes));
export const parse = (json) => decoded("the text", () => host.decode(text(json)));
