// The part of a source map that a plugin needs: it leads from the bundle to its author's own files. So it is small.

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/**
 * `{ sources, lines }`: five numbers for each place where text of the author's begins, which are the line and column of the bundle, the
 * source, and the line and column there; each less the one before, but for a column in a new line of the bundle.
 */
export function linesOf(map, isAuthors) {
  const own = map.sources.map((source) => isAuthors(source));
  const sources = map.sources.filter((_, index) => own[index]);
  const index = new Map(map.sources.map((source, at) => [at, sources.indexOf(source)]));
  const lines = [];
  let before = [0, 0, 0, 0, 0];
  let last = "";
  for (const [line, column, source, sourceLine, sourceColumn] of segments(map.mappings)) {
    const place = own[source] ? `${line} ${source} ${sourceLine} ${sourceColumn}` : "";
    if (!own[source] || place === last) continue;
    last = place;
    const now = [line, column, index.get(source), sourceLine, sourceColumn];
    const isNewLine = now[0] !== before[0];
    lines.push(...now.map((number, part) => number - (part === 1 && isNewLine ? 0 : before[part])));
    before = now;
  }
  return { sources, lines };
}

/** The segments of a source map: the line and column of the bundle, the source, the line and column there. */
function* segments(mappings) {
  let [source, sourceLine, sourceColumn] = [0, 0, 0];
  for (const [line, text] of mappings.split(";").entries()) {
    let column = 0;
    for (const segment of text.split(",")) {
      const [toColumn, toSource, toLine, toSourceColumn] = numbers(segment);
      if (toColumn === undefined) continue;
      column += toColumn;
      if (toSource === undefined) continue;
      source += toSource;
      sourceLine += toLine;
      sourceColumn += toSourceColumn;
      yield [line, column, source, sourceLine, sourceColumn];
    }
  }
}

/** Numbers as a source map writes them: five bits in a digit, the lowest first, and the sign in the lowest of all. */
function numbers(text) {
  const found = [];
  let [number, shift] = [0, 0];
  for (const digit of text) {
    const value = DIGITS.indexOf(digit);
    number |= (value & 31) << shift;
    shift += 5;
    if (value & 32) continue;
    found.push(number & 1 ? -(number >> 1) : number >> 1);
    [number, shift] = [0, 0];
  }
  return found;
}
