// What a component says of itself: a custom section, which the host reads before it links anything.

import { readFileSync } from "node:fs";
import { contract } from "./world.js";

const NAME = "gtm:plugin";
const sdk = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));

/** The component with the section at its end. */
export function stamp(component, version) {
  const said = { contract: contract(), sdk: `${sdk.name} ${sdk.version} (JavaScript)`, version };
  const name = Buffer.from(NAME);
  const content = Buffer.concat([leb128(name.length), name, Buffer.from(JSON.stringify(said))]);
  // 0 is a custom section.
  return Buffer.concat([component, Buffer.of(0), leb128(content.length), content]);
}

/** A number as WebAssembly writes it: seven bits in a byte, the lowest first. */
function leb128(number) {
  const bytes = [];
  do {
    const rest = number >>> 7;
    bytes.push((number & 0x7f) | (rest ? 0x80 : 0));
    number = rest;
  } while (number);
  return Buffer.from(bytes);
}
