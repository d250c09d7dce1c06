import { current } from "../world.js";

export function log(level, message) {
  current().run.log.push({ level, message });
}
