// TextEncoder and TextDecoder for UTF-8, out of functions that QuickJS has in C: a loop over the bytes would be fifty times slower.

const NAMES = ["utf-8", "utf8", "unicode-1-1-utf-8", "unicode11utf8", "unicode20utf8", "x-unicode20utf8"];
const NOT_ASCII = /[\x80-\xff]/;

class TextEncoder {
  get encoding() {
    return "utf-8";
  }

  encode(input = "") {
    const percents = encodeURIComponent(String(input).toWellFormed());
    return Uint8Array.fromBase64(btoa(unescape(percents)));
  }

  encodeInto(source, destination) {
    let read = 0;
    let written = 0;
    for (const character of String(source)) {
      const bytes = this.encode(character);
      if (written + bytes.length > destination.length) break;
      destination.set(bytes, written);
      read += character.length;
      written += bytes.length;
    }
    return { read, written };
  }
}

class TextDecoder {
  #fatal;
  #ignoreBOM;
  #rest = new Uint8Array();

  constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
    if (!NAMES.includes(String(label).trim().toLowerCase())) {
      throw new RangeError(`the encoding ${label} is not there: only UTF-8 is`);
    }
    this.#fatal = Boolean(fatal);
    this.#ignoreBOM = Boolean(ignoreBOM);
  }

  get encoding() {
    return "utf-8";
  }

  get fatal() {
    return this.#fatal;
  }

  get ignoreBOM() {
    return this.#ignoreBOM;
  }

  decode(input, { stream = false } = {}) {
    let bytes = viewed(input);
    if (this.#rest.length > 0) {
      bytes = joined(this.#rest, bytes);
      this.#rest = new Uint8Array();
    }
    if (stream) {
      const end = whole(bytes);
      this.#rest = bytes.slice(end);
      bytes = bytes.subarray(0, end);
    }
    const text = decoded(bytes, this.#fatal);
    return this.#ignoreBOM || text.charCodeAt(0) !== 0xfeff ? text : text.slice(1);
  }
}

function viewed(input = new Uint8Array()) {
  if (input instanceof Uint8Array) return input;
  if (ArrayBuffer.isView(input)) return new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
  return new Uint8Array(input);
}

function joined(one, other) {
  const bytes = new Uint8Array(one.length + other.length);
  bytes.set(one);
  bytes.set(other, one.length);
  return bytes;
}

/** A string of a character for each byte. */
const latin1 = (bytes) => atob(bytes.toBase64());

function decoded(bytes, fatal) {
  const text = latin1(bytes);
  if (!NOT_ASCII.test(text)) return text;
  try {
    return decodeURIComponent(escape(text));
  } catch {
    if (fatal) throw new TypeError("the bytes are no UTF-8");
    return replaced(bytes);
  }
}

/** Each part of the bytes that is no UTF-8 as U+FFFD, as the Encoding Standard has it. */
function replaced(bytes) {
  let text = "";
  let start = 0;
  let at = 0;
  while (at < bytes.length) {
    const { length, good } = sequence(bytes, at);
    if (!good) {
      text += decodeURIComponent(escape(latin1(bytes.subarray(start, at)))) + "\ufffd";
      start = at + length;
    }
    at += length;
  }
  return text + decodeURIComponent(escape(latin1(bytes.subarray(start))));
}

/** The character that begins here: how many bytes of it are there, and whether that is all of it. */
function sequence(bytes, at) {
  const first = bytes[at];
  if (first < 0x80) return { length: 1, good: true };
  const more = first >= 0xc2 && first <= 0xdf ? 1 : first >= 0xe0 && first <= 0xef ? 2 : first >= 0xf0 && first <= 0xf4 ? 3 : 0;
  if (more === 0) return { length: 1, good: false };
  // Neither longer than need be, nor half of a surrogate pair, nor beyond Unicode.
  const [least, most] = { 0xe0: [0xa0, 0xbf], 0xed: [0x80, 0x9f], 0xf0: [0x90, 0xbf], 0xf4: [0x80, 0x8f] }[first] ?? [0x80, 0xbf];
  for (let next = 1; next <= more; next++) {
    const byte = bytes[at + next];
    const fits = next === 1 ? byte >= least && byte <= most : byte >= 0x80 && byte <= 0xbf;
    if (!fits) return { length: next, good: false, ended: at + next >= bytes.length };
  }
  return { length: more + 1, good: true };
}

/** Up to where there are whole characters: what comes after is the beginning of one. */
function whole(bytes) {
  for (let at = Math.max(0, bytes.length - 3); at < bytes.length; at++) {
    if (bytes[at] >= 0xc2 && sequence(bytes, at).ended) return at;
  }
  return bytes.length;
}

globalThis.TextEncoder ??= TextEncoder;
globalThis.TextDecoder ??= TextDecoder;

export { TextDecoder, TextEncoder };
