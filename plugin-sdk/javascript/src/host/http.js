export { send } from "gtm:plugin/http";
