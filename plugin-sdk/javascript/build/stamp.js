// What a component says of itself: a custom section, which the host reads before it links anything.

import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { contract } from "./world.js";

const NAME = "gtm:plugin";
const sdk = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));

const said = ({ version, source }) => JSON.stringify({ contract: contract(), sdk: `${sdk.name} ${sdk.version} (JavaScript)`, source, version });

/** A digest of all that a component is made of: the bundle, what it exports and imports, and the compiler. */
export function sourceDigest(source, interfaces, imports) {
  const compiler = createRequire(import.meta.url)("componentize-qjs/package.json").version;
  return createHash("sha256").update(JSON.stringify([compiler, contract(), interfaces, imports, source])).digest("hex");
}

/** Whether a file is a component with this section at its end. */
export function isBuiltFrom(file, about) {
  return existsSync(file) && readFileSync(file).subarray(-1024).toString("latin1").endsWith(Buffer.from(said(about)).toString("latin1"));
}

/** The component with the section at its end. */
export function stamp(component, about) {
  const name = Buffer.from(NAME);
  const content = Buffer.concat([leb128(name.length), name, Buffer.from(said(about))]);
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
