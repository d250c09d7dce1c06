// One module of the plugin, what it imports and the SDK, by esbuild.

import { isBuiltin } from "node:module";
import { basename, dirname } from "node:path";
import * as esbuild from "esbuild";
import { BuildError } from "./error.js";

const OPTIONS = {
  bundle: true,
  write: false,
  metafile: true,
  format: "esm",
  // No Node: of a library that comes in two forms, the browser's is nearer.
  platform: "browser",
  conditions: ["gtm-plugin-component"],
  target: "es2023",
  // These become functions over the global Promise, which the SDK replaces: see src/promise.js.
  supported: { "async-await": false, "async-generator": false, "for-await": false, "top-level-await": false },
  define: { "process.env.NODE_ENV": '"production"' },
  charset: "utf8",
  external: ["gtm:*", "wasi:*"],
  logLevel: "silent",
};

/** The names that a module exports. */
export async function exportsOf(file) {
  const { metafile } = await run({ entryPoints: [file], outdir: "build" });
  const [output] = Object.values(metafile.outputs).filter(({ entryPoint }) => entryPoint);
  return output.exports;
}

/** Returns the module that exports these interfaces to the host, and the names of the interfaces that it imports. */
export async function bundle(file, interfaces) {
  const contents = `
    import "gtm-plugin/polyfills";
    import * as plugin from ${JSON.stringify(file)};
    import { component } from "gtm-plugin/component";
    export const { ${interfaces.join(", ")} } = component(plugin);
  `;
  const { outputFiles, metafile } = await run({
    stdin: { contents, resolveDir: dirname(file), sourcefile: "<gtm-plugin>" },
    outfile: "out.js",
    sourcemap: "external",
  });
  const [source, map] = ["out.js", "out.js.map"].map((name) => outputFiles.find(({ path }) => basename(path) === name).text);
  const { imports } = Object.values(metafile.outputs).find(({ entryPoint }) => entryPoint);
  const external = imports.filter((one) => one.external).map(({ path }) => path);
  return { source, map: JSON.parse(map), imports: [...new Set(external)] };
}

async function run(options) {
  try {
    return await esbuild.build({ ...OPTIONS, ...options });
  } catch (error) {
    if (!error.errors) throw error;
    const messages = await esbuild.formatMessages(error.errors.map(explained), { kind: "error", color: process.stderr.isTTY });
    throw new BuildError(messages.join("").trimEnd());
  }
}

/** esbuild's own text, but what it says of a bundle that nobody makes by hand does not help. */
function explained(message) {
  if (message.text.startsWith("Top-level await")) {
    return { ...message, text: "There is no await at the top of a plugin's module: that runs while the plugin is built" };
  }
  const [, missing] = /^Could not resolve "([^"]+)"/.exec(message.text) ?? [];
  if (!missing) return message;
  if (isBuiltin(missing)) return { ...message, notes: [{ text: `A plugin does not run in Node: there is no ${missing}.` }] };
  const isPackage = !/^[./]/.test(missing);
  return { ...message, notes: isPackage ? [{ text: `Is it installed? npm install ${missing}` }] : [] };
}
