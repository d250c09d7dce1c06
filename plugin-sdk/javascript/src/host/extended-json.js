export { encode, encodeCanonical, decode } from "gtm:plugin/extended-json";
