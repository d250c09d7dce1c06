export { getRandomBytes } from "wasi:random/random";
