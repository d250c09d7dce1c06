// As the host does it, but by the package bson, which does not keep each type: undefined becomes null, a dbPointer a DBRef.

import { EJSON, deserialize, serialize } from "bson";
import { refused } from "../world.js";

const EXACT = { promoteValues: false, bsonRegExp: true };

function answered(what, work) {
  try {
    return work();
  } catch (error) {
    throw refused("invalid", `it is not ${what}: ${error.message}`);
  }
}

export const encode = (bytes) => answered("BSON", () => EJSON.stringify(deserialize(bytes, EXACT), { relaxed: true }));
export const encodeCanonical = (bytes) => answered("BSON", () => EJSON.stringify(deserialize(bytes, EXACT), { relaxed: false }));
export const decode = (json) => answered("JSON", () => serialize(EJSON.parse(json, { relaxed: false })));
