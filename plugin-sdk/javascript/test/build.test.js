import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { linesOf } from "../build/lines.js";

const here = fileURLToPath(new URL("..", import.meta.url));
const command = join(here, "bin/gtm-plugin.js");
// In the package, which finds itself by its name.
const folder = mkdtempSync(join(here, "test/tmp-"));
after(() => rmSync(folder, { recursive: true }));

/** Builds a plugin of this text, and gives back the component or what is said instead. */
function built(text, name = "plugin.js") {
  const output = join(folder, "out.wasm");
  rmSync(output, { force: true });
  if (text !== undefined) writeFileSync(join(folder, name), text);
  const { status, stderr } = spawnSync(process.execPath, [command, "build", name, "-o", output], { cwd: folder, encoding: "utf8" });
  return status === 0 ? { component: readFileSync(output, "latin1") } : { said: stderr };
}

test("a plugin asks for what it uses", () => {
  const { component, said } = built(`
    import { log, mail } from "gtm-plugin";
    export async function handle(op) { log.info(await mail.send({ to: op.document().email, text: "x" })); }
  `);
  assert.equal(said, undefined);
  const names = ["gtm:plugin/log@", "gtm:plugin/mail@", "gtm:plugin/http@", "gtm:plugin/state@", "gtm:plugin/handler@", "gtm:plugin/filter@", "gtm:plugin/lifecycle@"];
  // In the names of imports and exports, not in the text of the modules.
  const has = (name) => component.includes(`${name}0.2.0`);
  assert.deepEqual(names.map(has), [true, true, false, false, true, false, false]);
  assert.match(component.slice(-300), /gtm:plugin\{"contract":"0\.2\.0","sdk":"gtm-plugin [^"]+ \(JavaScript\)","source":"[0-9a-f]{64}","version":"[^"]+"\}$/);
});

test("a plugin of batches exports batch-handler alone, and TypeScript is built", () => {
  const { component, said } = built("import type { Op } from 'gtm-plugin'; export function handleBatch(ops: Op[]): void {}", "batch.ts");
  assert.equal(said, undefined);
  assert.ok(component.includes("gtm:plugin/batch-handler@0.2.0"));
  assert.ok(!component.includes("gtm:plugin/handler@0.2.0"));
});

test("a module that only filters exports no handler", () => {
  const { component, said } = built("export const subscriptions = [{ namespace: 'a.*' }]; export const filter = (op) => op.isInsert;");
  assert.equal(said, undefined);
  const names = ["lifecycle", "filter", "batch-filter", "handler", "batch-handler"];
  assert.deepEqual(names.map((name) => component.includes(`gtm:plugin/${name}@0.2.0`)), [true, true, true, false, false]);
});

test("the same source gives the same bytes", () => {
  const text = "export function handle(op) { op.document(); }";
  const first = built(text, "same.js").component;
  const build = (more) => {
    writeFileSync(join(folder, "same.js"), text + more);
    const arguments_ = [command, "build", "same.js", "-o", join(folder, "out.wasm")];
    return spawnSync(process.execPath, arguments_, { cwd: folder, encoding: "utf8" }).stdout;
  };
  assert.match(build(""), /out\.wasm: unchanged/);
  assert.equal(readFileSync(join(folder, "out.wasm"), "latin1"), first);
  assert.match(build("\nexport const filter = () => true;"), /MiB/);
  assert.notEqual(readFileSync(join(folder, "out.wasm"), "latin1"), first);
});

test("what leads from the bundle to the author's files is small", () => {
  const map = { sources: ["lib.js", "own.js"], mappings: "AAAA;ACAA,IAAI;ADCA;ACAA" };
  const { sources, lines } = linesOf(map, (source) => source === "own.js");
  assert.deepEqual(sources, ["own.js"]);
  // Line 1, columns 0 and 4; then line 3.
  assert.deepEqual(lines, [1, 0, 0, 0, 0, 0, 4, 0, 0, 4, 2, 0, 0, 1, 0]);
});

test("what is wrong is said", () => {
  const says = (text, wanted) => assert.match(built(text).said ?? "it was built", wanted);
  says("export const subscriptions = [];", /plugin\.js does not export handle: write/);
  says("export function handle(op) { const x = ; }", /Unexpected ";"/);
  says('import "node:fs"; export function handle() {}', /there is no node:fs/);
  says('import "no-such-package"; export function handle() {}', /npm install no-such-package/);
  says("await 1; export function handle() {}", /There is no await at the top of a plugin's module/);
  says('import { config } from "gtm-plugin";\nconfig.get("x"); export function handle() {}', /config is used where the plugin is built(.|\n)*at plugin\.js:2:8/);
  says('export const subscriptions = [{ operationTypes: ["x"] }]; export function handle() {}', /x is not an operation type/);
  says('export const settings = { x: { type: "y" } }; export function handle() {}', /the setting x: y is not a type of a setting/);
  assert.match(built(undefined, "missing.js").said, /there is no file missing\.js/);
  const { status, stderr } = spawnSync(process.execPath, [command], { encoding: "utf8" });
  assert.equal(status, 2);
  assert.match(stderr, /Usage: gtm-plugin build/);
  assert.match(execFileSync(process.execPath, [command, "--help"], { encoding: "utf8" }), /^Make a plugin/);
});

test("the copy of the contract is the contract", { skip: !existsSync(join(here, "../../wit/0.2")) && "not in the repository" }, () => {
  const files = (path) =>
    Object.fromEntries(
      readdirSync(path, { recursive: true })
        .filter((name) => statSync(join(path, name)).isFile())
        .map((name) => [name, readFileSync(join(path, name), "utf8")]),
    );
  assert.deepEqual(files(join(here, "wit")), files(join(here, "../../wit/0.2")), "run `npm run copy-wit`");
});
