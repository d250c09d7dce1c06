export * from "bson";
