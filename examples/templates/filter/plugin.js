// Passes only documents whose field has one of some values: the orders of a region, for example.

// Anybody who runs the filter can set these: --set values=eu,uk. The host refuses a setting that is not here.
export const settings = {
  field: { type: "text", default: "region", doc: "The field that decides." },
  values: { type: "texts", default: ["eu"], doc: "The values that pass, separated by commas." },
};

/** Returns whether the op passes. A deletion has no document, so it passes: nobody knows its region. */
export function filter(op, config) {
  if (op.isDelete || op.isCommand) return true;
  return config.values.includes(op.document()[config.field]);
}
