// One module of the plugin, what it imports and the SDK, by esbuild.

import { dirname } from "node:path";
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

/** The module with these functions for the host, and what it imports of the host. */
export async function bundle(file, functions) {
  const contents = `
    import "gtm-plugin/polyfills";
    import * as plugin from ${JSON.stringify(file)};
    import { component } from "gtm-plugin/component";
    export const { ${functions.join(", ")} } = component(plugin);
  `;
  const { outputFiles, metafile } = await run({ stdin: { contents, resolveDir: dirname(file), sourcefile: "<gtm-plugin>" } });
  const [output] = Object.values(metafile.outputs);
  const imports = output.imports.filter(({ external }) => external).map(({ path }) => path);
  return { source: outputFiles[0].text, imports: [...new Set(imports)] };
}

async function run(options) {
  try {
    return await esbuild.build({ ...OPTIONS, ...options });
  } catch (error) {
    if (!error.errors) throw error;
    const messages = await esbuild.formatMessages(error.errors, { kind: "error", color: process.stderr.isTTY });
    throw new BuildError(messages.join("").trimEnd());
  }
}
