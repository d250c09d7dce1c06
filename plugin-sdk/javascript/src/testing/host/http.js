import { bytes, string } from "../../bytes.js";
import { HttpError } from "../../errors.js";
import { granted, refused } from "../world.js";

/** A list of values is as many headers of that name. */
const pairs = (headers) => Object.entries(headers).flatMap(([name, value]) => [value].flat().map((one) => [name.toLowerCase(), String(one)]));

export function send(request) {
  const { run, server } = granted("http");
  const seen = { ...request, headers: Object.fromEntries(request.headers), text: request.body && string(request.body) };
  run.requests.push(seen);
  try {
    const { status = 200, headers = {}, body = "" } = server(seen) ?? {};
    const isJson = typeof body === "object" && !ArrayBuffer.isView(body);
    return { status, headers: pairs(headers), body: bytes(isJson ? JSON.stringify(body) : body) };
  } catch (thrown) {
    throw thrown instanceof HttpError ? refused(thrown.kind, thrown.message) : thrown;
  }
}
