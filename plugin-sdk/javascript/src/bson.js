// The package bson, in the version that decodes the documents of an op.

export * from "bson";
