// Numbers as the contract has them.

/** The most that fits where the contract has a u32. The engine takes what fits a signed number only. */
export const U32 = 2 ** 31 - 1;

/** A whole number from 0 to `most`. On anything else the call to the host would trap. */
export function whole(value, most) {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 0) throw new RangeError(`${value} is not a whole number from 0`);
  return Math.min(number, most);
}
