interface SettingCommon {
  /** What it does, in one or two sentences. `gtm-host check` shows it. */
  doc?: string;
  /** Whether the plugin does not start without it. */
  required?: boolean;
  /** Whether the host keeps its value out of logs, errors and lists. */
  secret?: boolean;
  /** Names that it had before. The host still accepts them, with a warning. */
  formerNames?: readonly string[];
}

/** A setting that a plugin declares. */
export type Setting = SettingCommon &
  (
    | { type: "text"; default?: string }
    /** A whole number of 64 bits; exact up to 2⁵³. */
    | { type: "integer"; default?: number }
    | { type: "number"; default?: number }
    | { type: "boolean"; default?: boolean }
    /** A time with its unit, `10s`. The plugin gets milliseconds. */
    | { type: "duration"; default?: string }
    /** A size with its unit, `1 MiB`. The plugin gets bytes. */
    | { type: "size"; default?: string }
    /** Several texts. A user separates them by commas. */
    | { type: "texts"; default?: readonly string[] }
    | { type: "choice"; choices: readonly string[]; default?: string }
  );

/** The settings of a plugin, by name. */
export type Settings = Readonly<Record<string, Setting>>;

type Value<S> = S extends { type: "choice"; choices: readonly (infer Choice)[] }
  ? Choice
  : S extends { type: "texts" }
    ? string[]
    : S extends { type: "boolean" }
      ? boolean
      : S extends { type: "text" }
        ? string
        : number;

/** The values of declared settings: `Config<typeof settings>`. A setting that is not required and has no default may be undefined. */
export type Config<S extends Settings> = {
  readonly [Name in keyof S]: S[Name] extends { required: true } | { default: {} } ? Value<S[Name]> : Value<S[Name]> | undefined;
};

/** Returns the declaration itself. With it, TypeScript knows the exact types for {@link Config}. */
export function defineSettings<const S extends Settings>(settings: S): S;
