/** Returns the value of a setting as text: as the user set it, or in milliseconds or bytes if the plugin declares a duration or size. */
export function get(name: string): string | undefined;

/** Returns the names and values of all settings that have a value. */
export function all(): Record<string, string>;
