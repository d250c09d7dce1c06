// Where in its author's files something was thrown. QuickJS knows the line of the bundle; the build leaves what leads from there to the
// files.

/** Under this name, the build leaves `{ sources, lines }`: see build/lines.js. */
const LINES = Symbol.for("gtm-plugin.lines");
/** A place in the bundle, as in `at handle (componentize-qjs:user.js:12:34)`. */
const PLACE = /\b(?:componentize-qjs:)?user\.js:(\d+)(?::(\d+))?/g;

let byLine;

/** The starts of the author's text in each line of the bundle: column, source, line, column there. */
function starts() {
  if (byLine) return byLine;
  byLine = new Map();
  const at = [0, 0, 0, 0, 0];
  const { lines } = globalThis[LINES];
  for (let index = 0; index < lines.length; index += 5) {
    const isNewLine = lines[index] !== 0;
    for (let part = 0; part < 5; part++) at[part] = lines[index + part] + (part === 1 && isNewLine ? 0 : at[part]);
    const [line, ...start] = at;
    if (!byLine.has(line)) byLine.set(line, []);
    byLine.get(line).push(start);
  }
  return byLine;
}

/** `src/plugin.ts:20:7`, or nothing where the place is not in a file of the author's. Lines and columns are from 1. */
function original(line, column) {
  const start = starts()
    .get(line - 1)
    ?.findLast(([from]) => from < column);
  return start && `${globalThis[LINES].sources[start[1]]}:${start[2] + 1}:${start[3] + 1}`;
}

const mapped = (_, line, column) => original(Number(line), Number(column ?? Infinity));

/** A stack with the places in the author's files, down to the function of his that was called first. */
export function traced(stack) {
  if (!globalThis[LINES]) return stack;
  const frames = stack.split("\n");
  const isAuthors = (frame) => placeOf(frame) !== undefined;
  const last = frames.findLastIndex(isAuthors);
  const kept = last < 0 ? frames : frames.slice(0, last + 1);
  return kept.map((frame) => frame.replace(PLACE, (place, line, column) => mapped(place, line, column) ?? "bundle")).join("\n");
}

/** The place in the author's files that is nearest to where it was thrown, if it is known. */
export function placeOf(stack) {
  if (!globalThis[LINES] || typeof stack !== "string") return undefined;
  for (const [place, line, column] of stack.matchAll(PLACE)) {
    const found = mapped(place, line, column);
    if (found) return found;
  }
  return undefined;
}
