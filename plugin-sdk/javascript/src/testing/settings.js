// Checks settings as the host does, and turns their units into milliseconds and bytes.

import { declared } from "../settings.js";

const TIMES = { ns: 1e-6, us: 1e-3, ms: 1, s: 1e3, m: 60e3, min: 60e3, h: 3600e3, d: 86400e3 };
const SIZES = { b: 1, kb: 1e3, mb: 1e6, gb: 1e9, kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30 };

/** Each returns the value as the plugin gets it. Nothing: it does not have the type. */
const NORMALIZED = {
  text: (value) => value,
  texts: (value) => value,
  integer: (value) => (/^[+-]?\d+$/.test(value) ? String(Number(value)) : undefined),
  number: (value) => (value.trim() !== "" && Number.isFinite(Number(value)) ? String(Number(value)) : undefined),
  boolean: (value) => (["true", "false"].includes(value) ? value : undefined),
  duration: (value) => sum(value, /(\d+)\s*([a-z]+)/gi, TIMES),
  size: (value) => sum(value, /^(\d+(?:\.\d+)?)\s*([a-z]+)/gi, SIZES),
  choice: (value, choices) => (choices.includes(value) ? value : undefined),
};

/** Returns the values that the plugin gets, as pairs. @throws Error as the host refuses them */
export function checked(settings, config) {
  const set = Object.fromEntries(Object.entries(config).map(([name, value]) => [name, String(value)]));
  const known = declared(settings);
  if (!known) return Object.entries(set);
  const names = known.flatMap(({ name, formerNames }) => [name, ...formerNames]);
  const unknown = Object.keys(set).find((name) => !names.includes(name));
  if (unknown !== undefined) throw new Error(`unknown setting ${unknown}: the settings of the plugin are ${known.map(({ name }) => name).join(", ")}`);
  return known.flatMap((setting) => {
    const value = valueOf(setting, set);
    if (value === undefined) return [];
    const { tag, val } = setting.settingType;
    const normalized = NORMALIZED[tag](value, val);
    if (normalized === undefined) throw new Error(`the setting ${setting.name} is "${value}", which is not valid for the type ${tag}`);
    return [[setting.name, normalized]];
  });
}

function valueOf({ name, formerNames, required, default: value }, set) {
  const given = [name, ...formerNames].filter((one) => one in set);
  if (given.length > 1) throw new Error(`the settings ${given.join(" and ")} are both set, and are the same`);
  const own = given.length === 1 ? set[given[0]] : undefined;
  const found = own === undefined || (required && own === "") ? value : own;
  if (found === undefined && required) throw new Error(`the setting ${name} is missing`);
  return found;
}

function sum(text, pattern, units) {
  const parts = [...text.matchAll(pattern)];
  const rest = text.replace(pattern, "").trim();
  if (parts.length === 0 || rest !== "") return undefined;
  const values = parts.map(([, number, unit]) => Number(number) * units[unit.toLowerCase()]);
  const total = values.reduce((all, one) => all + one, 0);
  return Number.isNaN(total) ? undefined : String(Math.trunc(total));
}
