export { get, getAll } from "gtm:plugin/config";
