export { get, set, delete, compareAndSwap } from "gtm:plugin/state";
