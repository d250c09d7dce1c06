import { current } from "../world.js";

export const getAll = () => current().config;
export const get = (name) => getAll().find(([one]) => one === name)?.[1];
