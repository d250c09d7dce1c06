// The world of a plugin: the interfaces that it exports, and those of the SDK that it uses. A plugin that sends no mail does not ask for it.

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BuildError } from "./error.js";

/** The contract. The package has a copy of it, because npm installs only its folder. */
const CONTRACT = fileURLToPath(new URL("../wit/", import.meta.url));

const RANDOM = `package wasi:random@0.2.0 {
  interface random {
    get-random-bytes: func(len: u64) -> list<u8>;
  }
}
`;

/** Returns the version of the contract. */
export function contract() {
  return /^package gtm:plugin@([^;]+);/m.exec(readFileSync(join(CONTRACT, "types.wit"), "utf8"))[1];
}

/** Writes the world with these exports and imports into a folder, which exists until the work is done. */
export async function withWorld(interfaces, imports, work) {
  const versions = { "gtm:plugin": contract(), "wasi:random": "0.2.0" };
  const versioned = (path) => {
    const known = versions[path.split("/")[0]];
    if (!known) throw new BuildError(`the plugin imports ${path}, which the SDK does not know`);
    return `${path.split("@")[0]}@${known}`;
  };
  // Interfaces have other letters in WIT: batch-handler.
  const exported = interfaces.map((name) => `gtm:plugin/${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`);
  const lines = [...imports.map((path) => `import ${versioned(path)};`), ...exported.map((path) => `export ${versioned(path)};`)];
  const world = `package gtm:javascript;\n\nworld plugin {\n  ${lines.join("\n  ")}\n}\n\n${RANDOM}`;
  const path = mkdtempSync(join(tmpdir(), "gtm-plugin-"));
  try {
    cpSync(CONTRACT, join(path, "deps/gtm-plugin"), { recursive: true });
    writeFileSync(join(path, "world.wit"), world);
    return await work(path);
  } finally {
    rmSync(path, { recursive: true });
  }
}
