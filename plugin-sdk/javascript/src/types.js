// What a value of a document is, in the words of an error: `email: expected a string, found an object`.

/** The types that a field can be asked for. */
export const TYPES = {
  string: { name: "a string", is: (value) => typeof value === "string" },
  number: { name: "a number", is: (value) => typeof value === "number" },
  boolean: { name: "a boolean", is: (value) => typeof value === "boolean" },
  date: { name: "a date", is: (value) => value instanceof Date },
  array: { name: "an array", is: (value) => Array.isArray(value) },
  object: { name: "an object", is: (value) => isPlain(value) },
};

/** The names of the package bson, where that of a class is not the one to show. */
const CLASSES = { Binary: "binary data", BSONRegExp: "a regular expression", Long: "an integer", ObjectId: "an ObjectId", Timestamp: "a timestamp" };

const isPlain = (value) => typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date) && !value._bsontype;

export function named(value) {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (typeof value === "number") return Number.isInteger(value) ? "an integer" : "a double";
  if (value._bsontype) return CLASSES[value._bsontype] ?? `a ${value._bsontype}`;
  const type = Object.values(TYPES).find(({ is }) => is(value));
  return type?.name ?? `a ${typeof value}`;
}

/** What is at a path such as `address.street` or `tags.0`. */
export function at(document, path) {
  if (document === null || typeof document !== "object") return undefined;
  if (Object.hasOwn(document, path)) return document[path];
  const [first, ...rest] = path.split(".");
  if (rest.length === 0 || !Object.hasOwn(document, first)) return undefined;
  return at(document[first], rest.join("."));
}
