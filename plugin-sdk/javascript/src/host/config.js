export { get, getAll } from "wasi:config/store";
