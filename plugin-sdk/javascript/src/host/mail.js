export { send } from "gtm:plugin/mail";
