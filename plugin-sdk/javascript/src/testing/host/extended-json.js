// As the host does it: straight from the bytes, with all fields of a document and each type. Back, the package bson does it, which does
// not keep each type: a field is there once, undefined becomes null.

import { EJSON, deserialize, onDemand, serialize } from "bson";
import { string } from "../../bytes.js";
import { dateOf } from "../../dates.js";
import { refused } from "../world.js";

const EXACT = { promoteValues: false, bsonRegExp: true };

/** The names of fields that make a document look like another value, so that it is written as `{"$document": …}`. */
const WRAPPER_NAMES = new Set([
  "$oid", "$date", "$numberLong", "$numberInt", "$numberDouble", "$numberDecimal", "$binary", "$uuid", "$timestamp", "$regularExpression",
  "$code", "$symbol", "$undefined", "$minKey", "$maxKey", "$dbPointer", "$document",
]);

function answered(what, work) {
  try {
    return work();
  } catch (error) {
    throw refused("invalid", `it is not ${what}: ${error.message}`);
  }
}

export const encode = (bytes) => answered("BSON", () => written(bytes, false));
export const encodeCanonical = (bytes) => answered("BSON", () => written(bytes, true));
export const decode = (json) => answered("JSON", () => serialize(EJSON.parse(json, { relaxed: false })));

function written(bytes, canonical) {
  const fields = fieldsOf(bytes);
  const object = `{${fields.map(({ name, type, value }) => `${JSON.stringify(name)}:${json(type, value, canonical)}`).join(",")}}`;
  return fields.some(({ name }) => WRAPPER_NAMES.has(name)) ? `{"$document":${object}}` : object;
}

function fieldsOf(bytes) {
  return [...onDemand.parseToElements(bytes)].map(([type, nameAt, nameLength, at, length]) => ({
    type,
    name: string(bytes.subarray(nameAt, nameAt + nameLength)),
    value: bytes.subarray(at, at + length),
  }));
}

function json(type, value, canonical) {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  const text = (at) => string(value.subarray(at + 4, at + 4 + view.getInt32(at, true) - 1));
  switch (type) {
    case 0x01:
      return double(view.getFloat64(0, true), canonical);
    case 0x03:
      return written(value, canonical);
    case 0x04:
      return `[${fieldsOf(value).map((one) => json(one.type, one.value, canonical)).join(",")}]`;
    case 0x06:
      return '{"$undefined":true}';
    case 0x09:
      return JSON.stringify({ $date: dateOf(view.getBigInt64(0, true), canonical) });
    case 0x0c:
      return `{"$dbPointer":{"$ref":${JSON.stringify(text(0))},"$id":${json(0x07, value.subarray(value.length - 12), canonical)}}}`;
    case 0x0f:
      return `{"$code":${JSON.stringify(text(4))},"$scope":${written(value.subarray(8 + view.getInt32(4, true)), canonical)}}`;
    case 0x12: {
      const digits = String(view.getBigInt64(0, true));
      return canonical ? `{"$numberLong":"${digits}"}` : digits;
    }
    default: {
      // The document with this value alone, whose name is empty.
      const one = new Uint8Array(value.length + 7);
      new DataView(one.buffer).setInt32(0, one.length, true);
      one[4] = type;
      one.set(value, 6);
      return EJSON.stringify(deserialize(one, EXACT), { relaxed: !canonical }).slice(4, -1);
    }
  }
}

function double(number, canonical) {
  if (!Number.isFinite(number)) return `{"$numberDouble":"${number}"}`;
  const size = Math.abs(number);
  const digits = size >= 1e16 || (size > 0 && size < 1e-4) ? number.toExponential() : String(number);
  const text = /[.e]/.test(digits) ? digits : `${Object.is(number, -0) ? "-0" : digits}.0`;
  return canonical ? `{"$numberDouble":"${text.replace("+", "")}"}` : text;
}
