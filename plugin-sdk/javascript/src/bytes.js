// Bytes and strings. The codecs are made when first used: the globals are there by then.

let encoder;
let decoder;

/** A string as UTF-8; bytes as they are. */
export function bytes(value) {
  if (typeof value === "string") return (encoder ??= new TextEncoder()).encode(value);
  if (value instanceof Uint8Array) return value;
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  throw new TypeError("a string or bytes (Uint8Array) are expected");
}

/** UTF-8 as a string. Bytes that are not UTF-8 become U+FFFD. */
export function string(value) {
  return (decoder ??= new TextDecoder()).decode(value);
}
