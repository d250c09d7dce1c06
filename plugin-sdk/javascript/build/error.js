/** What keeps a plugin from being built, said in words: no trace of the builder's own is of use. */
export class BuildError extends Error {}
