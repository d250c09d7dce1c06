/**
 * The globals of a plugin beside those of the language. In tsconfig.json: `"lib": ["ES2023"], "types": ["gtm-plugin/globals"]`.
 * There are no others: no fetch (see http of gtm-plugin), no timers, no URL, no Node.
 */
declare const console: Record<"trace" | "debug" | "log" | "info" | "warn" | "error", (...values: unknown[]) => void>;

declare class TextEncoder {
  readonly encoding: "utf-8";
  encode(input?: string): Uint8Array;
  encodeInto(source: string, destination: Uint8Array): { read: number; written: number };
}

declare class TextDecoder {
  /** @param label UTF-8 is the only one */
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  readonly encoding: "utf-8";
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;
  decode(input?: ArrayBuffer | ArrayBufferView, options?: { stream?: boolean }): string;
}

declare const crypto: {
  getRandomValues<T extends ArrayBufferView>(array: T): T;
  randomUUID(): `${string}-${string}-${string}-${string}-${string}`;
};

declare const performance: { now(): number };
declare function atob(base64: string): string;
declare function btoa(latin1: string): string;
declare function queueMicrotask(job: () => void): void;
declare function structuredClone<T>(value: T): T;
