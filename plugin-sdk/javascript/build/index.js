// Makes a component of a plugin: bundles it, says in a world what it asks for, and puts QuickJS around it.

import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { componentize } from "componentize-qjs";
import { BuildError } from "./error.js";
import { bundle, exportsOf } from "./bundle.js";
import { linesOf } from "./lines.js";
import { isBuiltFrom, sourceDigest, stamp } from "./stamp.js";
import { withWorld } from "./world.js";

export { BuildError };

/** The interfaces that a component exports, each if the plugin exports one of these names. */
const INTERFACES = {
  lifecycle: ["settings", "init", "subscriptions"],
  filter: ["filter"],
  batchFilter: ["filter"],
  handler: ["handle"],
  batchHandler: ["handleBatch"],
};

const SDK = fileURLToPath(new URL("../src/", import.meta.url));

/**
 * Builds the component of the plugin in `entry` and returns its bytes. Returns nothing if `output` was built from the same source: what
 * QuickJS makes of it differs in the seeds of hashes, so it would be another version.
 */
export async function build(entry, output) {
  const file = resolve(entry);
  if (!existsSync(file)) throw new BuildError(`there is no file ${entry}`);
  const exported = await exportsOf(file);
  // A component that only filters ops runs before the filter of a plugin.
  if (!["handle", "handleBatch", "filter"].some((name) => exported.includes(name))) {
    throw new BuildError(`${entry} does not export handle: write \`export function handle(op) { … }\``);
  }
  const interfaces = Object.keys(INTERFACES).filter((name) => INTERFACES[name].some((one) => exported.includes(one)));
  const bundled = await bundle(file, interfaces);
  const lines = linesOf(bundled.map, (source) => isAuthors(resolve(source)));
  const source = `${bundled.source}\nglobalThis[Symbol.for("gtm-plugin.lines")] = ${JSON.stringify(lines)};\n`;
  const about = { version: version(dirname(file)), source: sourceDigest(source, interfaces, bundled.imports) };
  if (output !== undefined && isBuiltFrom(output, about)) return undefined;
  const component = await withWorld(interfaces, bundled.imports, (path) => componentized(entry, { ...bundled, source }, path));
  return stamp(component, about);
}

async function componentized(entry, { source, map }, witPath) {
  try {
    const { component } = await componentize({ witPath, world: "plugin", jsSource: source, sync: true });
    return component;
  } catch (error) {
    const [, thrown] = /module evaluation: ((?:.|\n)*)/.exec(error.message) ?? [];
    if (thrown === undefined) throw new BuildError(`${entry}: ${error.message}`);
    const [reason] = thrown.split("\n");
    throw new BuildError(`${entry} fails where it is loaded: ${reason}${place(thrown, map)}`);
  }
}

/** The line of the author's that a trace leads to: the traces are of the bundle. */
function place(trace, map) {
  const sources = new SourceMap(map);
  for (const [, line, column] of trace.matchAll(/user\.js:(\d+):(\d+)/g)) {
    const { originalSource, originalLine, originalColumn } = sources.findEntry(line - 1, column - 1);
    if (originalSource && isAuthors(resolve(originalSource))) return `\n    at ${originalSource}:${originalLine + 1}:${originalColumn + 1}`;
  }
  return "";
}

const isAuthors = (path) => existsSync(path) && !path.startsWith(SDK) && !/[\\/]node_modules[\\/]/.test(path);

/** Builds a component and writes it to a file. Returns its size in bytes, or nothing if the file is built from this source already. */
export async function buildTo(entry, output) {
  const component = await build(entry, output);
  if (component === undefined) return undefined;
  mkdirSync(dirname(resolve(output)), { recursive: true });
  // In one step, since a host may watch it.
  writeFileSync(`${output}.new`, component);
  renameSync(`${output}.new`, output);
  return component.length;
}

/** The version in the nearest package.json. */
function version(folder) {
  const file = resolve(folder, "package.json");
  if (existsSync(file)) return JSON.parse(readFileSync(file, "utf8")).version;
  return dirname(folder) === folder ? undefined : version(dirname(folder));
}
