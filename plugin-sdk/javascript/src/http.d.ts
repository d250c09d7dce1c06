export interface RequestOptions {
  /** `GET` where nothing is said. */
  method?: string;
  headers?: Record<string, string | string[]> | Iterable<[string, string]>;
  /** A string is sent as UTF-8. */
  body?: string | Uint8Array | ArrayBuffer;
  /** The time to wait for an answer, in milliseconds. The host's own limit applies in any case. */
  timeout?: number;
  /** The value of the header `Idempotency-Key`, by which a server recognizes a repeated request: `op.id`. */
  idempotencyKey?: string;
}

/**
 * Sends a request and waits for the response, whatever its status: see {@link Response.check}. In `handle` and `tick` only. Redirects are not
 * followed. What the host adds to a request, such as a token, the plugin does not see.
 *
 * @throws HttpError
 */
export function fetch(url: string | { toString(): string }, options?: RequestOptions): Response;

export class Response {
  private constructor();
  readonly status: number;
  /** Whether the status is one of 200 to 299. */
  readonly ok: boolean;
  readonly headers: Headers;
  bytes(): Uint8Array;
  text(): string;
  json<T = any>(): T;
  /**
   * The response, if its status says that all went well.
   *
   * @throws HttpError `unavailable`: a status that passes (408, 425, 429, 5xx); if the server sends `Retry-After`, the host waits as long.
   * `rejected`: any other.
   */
  check(): this;
}

/** The headers of a response, by names in any letters. */
export class Headers implements Iterable<[string, string]> {
  private constructor();
  /** All values of that name, with commas between them. */
  get(name: string): string | undefined;
  getAll(name: string): string[];
  has(name: string): boolean;
  [Symbol.iterator](): Iterator<[string, string]>;
}
