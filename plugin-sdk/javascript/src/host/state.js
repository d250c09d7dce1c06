export { get, set, delete, compareAndSwap, increment, listEntries, getQuota } from "gtm:plugin/state";
