#!/usr/bin/env node
// The command gtm-plugin.

import { basename, extname } from "node:path";
import { parseArgs } from "node:util";

const HELP = `Make a plugin of gtm-host out of JavaScript or TypeScript

Usage: gtm-plugin build FILE [--output FILE.wasm]

  FILE          The module that exports handle: src/plugin.js
  -o, --output  The component; by default build/NAME.wasm, with the name of the file
  -h, --help    This text
`;

function fail(text, status = 1) {
  process.stderr.write(`gtm-plugin: ${text}\n`);
  process.exit(status);
}

function parsed() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { output: { type: "string", short: "o" }, help: { type: "boolean", short: "h" } },
    });
  } catch (error) {
    fail(error.message, 2);
  }
}

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  fail(`Node 20.19 or newer is needed, and this is ${process.versions.node}: \`nvm install --lts\` or https://nodejs.org has one`);
}
const { positionals, values } = parsed();
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const [command, file, ...rest] = positionals;
if (command !== "build" || !file || rest.length > 0) fail(`what is to be done?\n\n${HELP}`, 2);

const { BuildError, buildTo } = await import("../build/index.js").catch((error) =>
  fail(`what it builds with is not installed: run \`npm install\` (${error.message.split("\n")[0]})`),
);
const output = values.output ?? `build/${basename(file, extname(file))}.wasm`;
try {
  const bytes = await buildTo(file, output);
  process.stdout.write(bytes === undefined ? `${output}: unchanged\n` : `${output}: ${(bytes / 2 ** 20).toFixed(1)} MiB\n`);
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  fail(error.message);
}
