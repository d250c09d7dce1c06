import type { Document } from "bson";

export interface FindOptions {
  /** Which fields are wanted. */
  projection?: Document;
  sort?: Document;
  skip?: number;
  /** At most so many documents; at most 10,000 in any case. */
  limit?: number;
}

export interface UpdateOptions {
  /** Insert a document where none matches. */
  upsert?: boolean;
}

export interface UpdateResult {
  matchedCount: number;
  modifiedCount: number;
  upsertedCount: number;
  /** The `_id` of a document that was inserted, else null. */
  upsertedId: any;
}

/** A collection of the cluster that the host follows. In `handle` and `tick` only. @param namespace `database.collection` */
export function collection<T extends Document = Document>(namespace: string): Collection<T>;

/** Its names are those of MongoDB's driver for Node; its functions give their result at once. Each throws a MongodbError. */
export class Collection<T extends Document = Document> {
  constructor(namespace: string);
  readonly namespace: string;
  /** The documents that match. More than 16 MiB of them are an error. */
  find(filter?: Document, options?: FindOptions): T[];
  findOne(filter?: Document, options?: Omit<FindOptions, "limit">): T | null;
  /** What a pipeline gives. It may write nothing, and run no JavaScript. */
  aggregate<R extends Document = Document>(pipeline: Document[]): R[];
  insertOne(document: Document): { insertedId: any };
  /** At most 1,000 documents, of 16 MiB together, in order, up to the first that fails. */
  insertMany(documents: Document[]): { insertedCount: number; insertedIds: any[] };
  updateOne(filter: Document, update: Document, options?: UpdateOptions): UpdateResult;
  updateMany(filter: Document, update: Document, options?: UpdateOptions): UpdateResult;
  replaceOne(filter: Document, document: Document, options?: UpdateOptions): UpdateResult;
  deleteOne(filter: Document): { deletedCount: number };
  deleteMany(filter: Document): { deletedCount: number };
}
