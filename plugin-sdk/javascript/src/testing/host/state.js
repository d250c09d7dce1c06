import { granted } from "../world.js";

const same = (one, other) => (one && other ? Buffer.compare(one, other) === 0 : one === other);

export const get = (key) => granted("state").state.get(key);

export function set(key, value) {
  granted("state").state.set(key, value);
}

function remove(key) {
  granted("state").state.delete(key);
}
export { remove as delete };

export function compareAndSwap(key, expected, value) {
  const { state } = granted("state");
  const isExpected = same(state.get(key), expected ?? undefined);
  if (isExpected) state.set(key, value);
  return isExpected;
}
