// The world of a plugin: what it exports, and of what the SDK offers, what it uses. So a plugin that sends no mail does not ask to.

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BuildError } from "./error.js";

/** The contract. The package carries a copy of it, since npm installs what is in its folder and nothing beside it. */
const CONTRACT = fileURLToPath(new URL("../wit/", import.meta.url));

const EXPORTS = {
  subscriptions: "export subscriptions: func() -> list<subscription>;",
  handleBatch: "export handle-batch: func(ops: list<batched-op>) -> list<result<_, batched-failure>>;",
};

const RANDOM = `package wasi:random@0.2.0 {
  interface random {
    get-random-bytes: func(len: u64) -> list<u8>;
  }
}
`;

/** What each plugin has, as the world `plugin` of the contract says. */
const ALWAYS = ["gtm:plugin/types", "gtm:plugin/log", "gtm:plugin/extended-json", "gtm:plugin/metrics", "wasi:config/store"];

/** The version of the contract. */
export function contract() {
  return /^package gtm:plugin@([^;]+);/m.exec(readFileSync(join(CONTRACT, "types.wit"), "utf8"))[1];
}

/** Writes the world with these exports and imports into a folder, for as long as the work takes. */
export async function withWorld(functions, imports, work) {
  const version = contract();
  const asked = imports.map((path) => path.split("@")[0]).filter((path) => !ALWAYS.includes(path));
  const versions = { "gtm:plugin": version, "wasi:random": "0.2.0" };
  const lines = asked.map((path) => {
    const known = versions[path.split("/")[0]];
    if (!known) throw new BuildError(`the plugin imports ${path}, which the SDK does not know`);
    return `import ${path}@${known};`;
  });
  const world = `package gtm:javascript;

world plugin {
  use gtm:plugin/types@${version}.{op as batched-op, failure as batched-failure};
  use gtm:plugin/subscriptions@${version}.{subscription};
  include gtm:plugin/plugin@${version};
  ${[...lines, ...functions.flatMap((name) => EXPORTS[name] ?? [])].join("\n  ")}
}

${RANDOM}`;
  const path = mkdtempSync(join(tmpdir(), "gtm-plugin-"));
  try {
    cpSync(CONTRACT, join(path, "deps/gtm-plugin"), { recursive: true, filter: (from) => !/[\\/]deps$/.test(from) });
    cpSync(join(CONTRACT, "deps"), join(path, "deps"), { recursive: true });
    writeFileSync(join(path, "world.wit"), world);
    return await work(path);
  } finally {
    rmSync(path, { recursive: true });
  }
}
