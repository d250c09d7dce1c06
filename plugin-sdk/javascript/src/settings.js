// The settings that a plugin declares: as the contract has them, and the values of their types.

import { text } from "./errors.js";

/** The types of the contract: how each is named in an error, which default an author may write, and the value for the plugin. */
const TYPES = {
  text: { default: isText, value: (text) => text },
  integer: { default: Number.isSafeInteger, value: Number },
  number: { default: Number.isFinite, value: Number },
  boolean: { default: (value) => typeof value === "boolean", value: (text) => text === "true" },
  // The host turns the units into milliseconds and bytes.
  duration: { default: isText, value: Number },
  size: { default: isText, value: Number },
  texts: { default: (value) => Array.isArray(value) && value.every((one) => isText(one) && !one.includes(",")), value: listed },
  choice: { default: isText, value: (text) => text },
};

function isText(value) {
  return typeof value === "string";
}

function listed(text) {
  return text.split(",").map((one) => one.trim()).filter((one) => one !== "");
}

/** Returns the declaration itself, so that TypeScript knows its types exactly. */
export function defineSettings(settings) {
  return settings;
}

/**
 * Returns the declared settings as the contract has them. Nothing: the plugin accepts any.
 *
 * @throws TypeError the declaration is not valid
 */
export function declared(settings) {
  if (settings === undefined) return undefined;
  if (settings === null || typeof settings !== "object") throw new TypeError("settings is not an object");
  return Object.entries(settings).map(([name, setting]) => contractual(name, setting ?? {}));
}

function contractual(name, { type, choices, default: value, doc = "", required = false, secret = false, formerNames = [] }) {
  const wrong = (said) => new TypeError(`the setting ${name}: ${said}`);
  if (!Object.hasOwn(TYPES, type)) throw wrong(`${type} is not a type of a setting: ${Object.keys(TYPES).join(", ")}`);
  const isChoice = type === "choice";
  if (isChoice && !(Array.isArray(choices) && choices.length > 0 && choices.every(isText))) throw wrong("choices is not a list of texts");
  if (value !== undefined && !TYPES[type].default(value)) throw wrong(`its default is not valid for the type ${type}`);
  return {
    name: text(name),
    settingType: isChoice ? { tag: type, val: choices.map(text) } : { tag: type },
    default: value === undefined ? undefined : text(value),
    doc: text(doc),
    required: Boolean(required),
    secret: Boolean(secret),
    formerNames: [...formerNames].map(text),
  };
}

/** Returns the values that the host has, by name, each of its declared type: texts if nothing is declared. */
export function values(settings, pairs) {
  const read = pairs.map(([name, value]) => [name, TYPES[settings?.[name]?.type]?.value(value) ?? value]);
  return Object.freeze(Object.fromEntries(read));
}
