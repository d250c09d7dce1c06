// Does the errand that is written in each document inserted into a collection `errands`, and logs what came of it:
// `NUMBER ok WHAT` or `NUMBER error WHAT`, where the number is the document's `_id`. The same as the plugin errand, in JavaScript.

import { Retry, config, http, log, mail, metrics, mongodb, state } from "gtm-plugin";
import { EJSON, ObjectId } from "gtm-plugin/bson";

export const settings = {
  database: { type: "text", doc: "The database of the errands." },
  key: { type: "text" },
  pause: { type: "duration", default: "10s", doc: "A time." },
  size: { type: "size", default: "1 MiB", doc: "A size." },
  level: { type: "choice", choices: ["low", "high"], formerNames: ["grade"], doc: "A choice." },
  token: { type: "text", secret: true, doc: "A secret." },
};

export function init({ key }) {
  if (key === "refused") throw new Error("key must not be refused, ü");
}

export const subscriptions = [{ namespace: "*.errands", operationTypes: ["insert"] }];

export function filter(op, { database }) {
  // Where it is asked to, it does what a filter may not.
  const errand = op.document();
  if (errand.in_filter) {
    report(errand);
    return false;
  }
  // Each host of the tests has a database of its own.
  return (database ?? op.database) === op.database;
}

export function handle(op) {
  if (op.database === "shop") return logChangeEvents(op);
  const errand = op.document();
  if (errand.do === "fail") fail(errand);
  if (errand.do === "later") throw new Retry("later", { after: errand.after });
  report(errand);
}

function logChangeEvents(op) {
  log.info(op.toChangeEvent());
  log.info(op.toChangeEvent({ canonical: true }));
}

export const timers = {
  chime: {
    schedule: ({ level }) => (level === "high" ? "1h" : "0 6 * * *"),
    missed: "each",
    tick({ timer, at, id, attempt }, { level }) {
      log.info(`${timer} ${at.getTime()} ${id} ${attempt} ${level}`);
      if (attempt === 2) throw new Retry("later", { after: 1500 });
    },
  },
};

function fail(errand) {
  try {
    errand.nothing.nor.this();
  } catch (cause) {
    throw new Error("it fails", { cause });
  }
}

function report(errand) {
  try {
    const work = ERRANDS[errand.do];
    if (!work) throw new Error(`${errand.do} is no errand`);
    log.info(`${errand._id} ok ${work(errand)}`);
  } catch (error) {
    log.info(`${errand._id} error ${error.message}`);
  }
}

const ERRANDS = {
  /** The kind of the error of another errand. */
  kind({ of, ns }) {
    try {
      ERRANDS[of.do]({ ...of, ns });
    } catch (error) {
      return error.kind;
    }
  },
  http({ method, url, headers, body, bytes, follow, timeout }) {
    let response = http.fetch(url, { method, timeout, headers, body: bytes ? new Uint8Array(bytes).fill(120) : body });
    // A plugin that follows redirects does so by itself.
    if (follow && response.headers.has("location")) response = http.fetch(response.headers.get("location"));
    return `${response.status} ${shown(response.text())}`;
  },
  pause({ url, _id }) {
    try {
      http.fetch(url, { idempotencyKey: _id }).check();
    } catch (error) {
      return error.after;
    }
  },
  find: ({ ns, filter, sort, limit }) => listed(mongodb.collection(ns).find(filter, { sort, limit })),
  aggregate: ({ ns, pipeline }) => listed(mongodb.collection(ns).aggregate(pipeline)),
  insert({ ns, document }) {
    mongodb.collection(ns).insertOne(document);
    return "inserted";
  },
  update({ ns, filter, update, many }) {
    const collection = mongodb.collection(ns);
    const result = many ? collection.updateMany(filter, update) : collection.updateOne(filter, update, { upsert: true });
    const upserted = result.upsertedCount === 0 ? "" : `{ "_id": ${EJSON.stringify(result.upsertedId)} }`;
    return `${result.matchedCount} ${result.modifiedCount} ${upserted}`;
  },
  replace({ ns, filter, document }) {
    const { matchedCount, modifiedCount } = mongodb.collection(ns).replaceOne(filter, document, { upsert: true });
    return `${matchedCount} ${modifiedCount}`;
  },
  delete: ({ ns, filter = {} }) => mongodb.collection(ns).deleteMany(filter).deletedCount,
  get: ({ key }) => shown(state.getString(key) ?? "nothing"),
  set({ key, value }) {
    state.set(key, value);
    return "set";
  },
  forget({ key }) {
    state.delete(key);
    return "forgotten";
  },
  swap: ({ key, expected, value }) => state.compareAndSwap(key, expected, value),
  increment: ({ key, by, ttl }) => state.increment(key, by, { timeToLive: ttl && ttl * 1000 }),
  "set-for"({ key, value, ttl }) {
    state.set(key, value, { timeToLive: ttl * 1000 });
    return "set";
  },
  list({ prefix, after, limit }) {
    const entries = state.list(prefix, { after, limit });
    const shown = ({ key, value, timeToLive }) => `${key}=${new TextDecoder().decode(value)}${timeToLive === undefined ? "" : "!"}`;
    return entries.map(shown).join(" ");
  },
  quota() {
    const { keys, bytes } = state.quota();
    return `${keys} ${bytes}`;
  },
  mail: ({ to }) => mail.send({ to, subject: "an errand", text: "done" }),
  count() {
    metrics.count("errands");
    metrics.gauge("level", 0.5);
    metrics.record("seconds", 0.01);
    return "counted";
  },
  config: ({ key }) => config.get(key) ?? "nothing",
  /** What is to be another in each instance. */
  random: () => `${Math.random()} ${new ObjectId()} ${crypto.randomUUID()}`,
  encode: ({ text }) => new TextDecoder("utf-8", { fatal: true }).decode(new TextEncoder().encode(text)),
};

const listed = (documents) => `${documents.length} [${documents.map((one) => EJSON.stringify(one)).join(",")}]`;

function shown(text) {
  const { length } = new TextEncoder().encode(text);
  return length <= 2000 ? text : `${length} bytes`;
}
