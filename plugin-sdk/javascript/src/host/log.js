export { log } from "gtm:plugin/log";
