import { current } from "../world.js";

export const get = (key) => current().config[key];
export const getAll = () => Object.entries(current().config);
