// Copies the contract, the folder wit of the repository, into the package. A test says when it has to be done.

import { cpSync, rmSync } from "node:fs";

const copy = new URL("../wit/", import.meta.url);
rmSync(copy, { recursive: true, force: true });
cpSync(new URL("../../../wit/0.2/", import.meta.url), copy, { recursive: true });
