export { find, aggregate, insert, update, replace, delete } from "gtm:plugin/mongodb";
