/** The first millisecond of the year 10000. */
const YEAR_10000 = 253_402_300_800_000;

/** A date, in milliseconds, as Extended JSON has it: as text if it is relaxed and of the years 1970 to 9999. */
export function dateOf(millis, canonical) {
  if (canonical || millis < 0 || millis >= YEAR_10000) return { $numberLong: String(millis) };
  return new Date(Number(millis)).toISOString().replace(".000Z", "Z");
}
