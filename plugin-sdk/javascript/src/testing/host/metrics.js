import { current } from "../world.js";

export function count(name, by) {
  const { counters } = current().run;
  counters[name] = (counters[name] ?? 0) + by;
}

export function gauge(name, value) {
  current().run.gauges[name] = value;
}

export function recordValue(name, value) {
  (current().run.recorded[name] ??= []).push(value);
}
