/** The value set for a key, by `--set KEY=VALUE` or in gtm.toml. */
export function get(key: string): string | undefined;

/** All that is set. */
export function all(): Record<string, string>;
