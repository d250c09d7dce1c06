export { count, gauge, recordValue } from "gtm:plugin/metrics";
