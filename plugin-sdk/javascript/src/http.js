// HTTP requests to the servers that the plugin is granted. In handle only.

import { assertRunning } from "#host/running";
import * as host from "#host/http";
import { bytes, string } from "./bytes.js";
import { HttpError, asked, text } from "./errors.js";
import { U32, whole } from "./numbers.js";

export function fetch(url, { method = "GET", headers = {}, body, timeout, idempotencyKey } = {}) {
  assertRunning("http");
  const key = idempotencyKey == null ? [] : [["Idempotency-Key", text(idempotencyKey)]];
  const response = asked(HttpError, () =>
    host.send({
      method: text(method),
      url: text(url),
      headers: [...pairs(headers), ...key],
      body: body == null ? undefined : bytes(body),
      timeout: timeout == null ? undefined : whole(timeout, U32),
    }),
  );
  return new Response(response);
}

/** An object, a Map or pairs, as pairs. A list of values is as many headers of that name. */
function pairs(headers) {
  const entries = typeof headers[Symbol.iterator] === "function" ? [...headers] : Object.entries(headers);
  return entries.flatMap(([name, value]) => [value].flat().map((one) => [text(name), text(one)]));
}

export class Response {
  #body;

  constructor({ status, headers = [], body = new Uint8Array() }) {
    this.status = status;
    this.headers = new Headers(headers);
    this.#body = body;
  }

  get ok() {
    return this.status >= 200 && this.status < 300;
  }

  bytes() {
    return this.#body;
  }

  text() {
    return string(this.#body);
  }

  json() {
    return JSON.parse(this.text());
  }

  check() {
    if (this.ok) return this;
    const passes = [408, 425, 429].includes(this.status) || (this.status >= 500 && this.status < 600);
    const said = passes ? "cannot do it now and answers" : "refuses it";
    const start = [...this.text().slice(0, 400)].slice(0, 200).join("");
    const message = `the server ${said} with status ${this.status}: ${start}`;
    if (!passes) throw new HttpError("rejected", message);
    throw new HttpError("unavailable", message, { after: pause(this.headers.get("retry-after")) });
  }
}

/** Returns the milliseconds that a `Retry-After` asks for, which has seconds or a date. */
function pause(value) {
  const said = value?.trim() ?? "";
  if (/^\d+$/.test(said)) return Number(said) * 1000;
  const date = said.endsWith("GMT") ? Date.parse(said) : NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

/** The headers of a response, by names in any letters. */
export class Headers {
  #pairs;

  constructor(pairs) {
    this.#pairs = pairs.map(([name, value]) => [name.toLowerCase(), value]);
  }

  get(name) {
    const values = this.getAll(name);
    return values.length === 0 ? undefined : values.join(", ");
  }

  getAll(name) {
    const wanted = name.toLowerCase();
    return this.#pairs.filter(([other]) => other === wanted).map(([, value]) => value);
  }

  has(name) {
    return this.getAll(name).length > 0;
  }

  [Symbol.iterator]() {
    return this.#pairs[Symbol.iterator]();
  }
}
