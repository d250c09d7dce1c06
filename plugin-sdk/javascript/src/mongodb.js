// Reads and writes on the cluster that the host follows, in the namespaces that the plugin is granted. In handle only. The names
// are those of MongoDB's driver for Node.

import { assertRunning } from "#host/running";
import * as host from "#host/mongodb";
import { ObjectId, calculateObjectSize, deserialize, serialize } from "bson";
import { MongodbError, asked, text } from "./errors.js";
import { U32, whole } from "./numbers.js";
import { DOCUMENT } from "./op.js";

/** @param namespace `database.collection` */
export function collection(namespace) {
  return new Collection(namespace);
}

export class Collection {
  #namespace;

  constructor(namespace) {
    this.#namespace = text(namespace);
  }

  get namespace() {
    return this.#namespace;
  }

  find(filter = {}, { projection, sort, skip, limit } = {}) {
    const options = {
      projection: optional(projection),
      sort: optional(sort),
      skip: skip == null ? undefined : whole(skip, Number.MAX_SAFE_INTEGER),
      limit: limit == null ? undefined : whole(limit, U32),
    };
    return ask(() => host.find(this.#namespace, encoded(filter), options)).map(decoded);
  }

  findOne(filter = {}, options = {}) {
    return this.find(filter, { ...options, limit: 1 })[0] ?? null;
  }

  aggregate(pipeline) {
    return ask(() => host.aggregate(this.#namespace, pipeline.map(encoded))).map(decoded);
  }

  insertOne(document) {
    return { insertedId: this.insertMany([document]).insertedIds[0] };
  }

  insertMany(documents) {
    const withIds = documents.map(withId);
    ask(() => host.insert(this.#namespace, withIds.map(encoded)));
    return { insertedCount: withIds.length, insertedIds: withIds.map((one) => one._id) };
  }

  updateOne(filter, update, { upsert = false } = {}) {
    return this.#update(filter, update, { many: false, upsert: Boolean(upsert) });
  }

  updateMany(filter, update, { upsert = false } = {}) {
    return this.#update(filter, update, { many: true, upsert: Boolean(upsert) });
  }

  #update(filter, update, options) {
    return updated(ask(() => host.update(this.#namespace, encoded(filter), encoded(update), options)));
  }

  replaceOne(filter, document, { upsert = false } = {}) {
    return updated(ask(() => host.replace(this.#namespace, encoded(filter), encoded(document), Boolean(upsert))));
  }

  deleteOne(filter) {
    return { deletedCount: ask(() => host.delete(this.#namespace, encoded(filter), false)) };
  }

  deleteMany(filter) {
    return { deletedCount: ask(() => host.delete(this.#namespace, encoded(filter), true)) };
  }
}

/** As the driver for Node does, but the author's document stays as it is. */
function withId(document) {
  const { _id = new ObjectId(), ...rest } = document;
  return { _id, ...rest };
}

function ask(work) {
  assertRunning("mongodb");
  return asked(MongodbError, work);
}

/** What cannot be written as BSON cannot be asked for either. */
function encoded(document) {
  try {
    // By default a buffer for the largest of documents is taken.
    return serialize(document, { minInternalBufferSize: calculateObjectSize(document) });
  } catch (error) {
    throw new MongodbError("invalid", `${error.name}: ${error.message}`);
  }
}

const optional = (document) => (document == null ? undefined : encoded(document));
const decoded = (bytes) => deserialize(bytes, DOCUMENT);

function updated({ matchedCount, modifiedCount, upsertedId }) {
  const isUpserted = upsertedId != null;
  return { matchedCount, modifiedCount, upsertedCount: isUpserted ? 1 : 0, upsertedId: isUpserted ? decoded(upsertedId)._id : null };
}
