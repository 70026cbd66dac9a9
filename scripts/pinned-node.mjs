// The Node that this project is written for comes with its dependencies; programs of ours run under it from whichever
// Node (20 or newer) they were called with. Runs under that older Node, so it uses no TypeScript and no dependency.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { nodeFlagsFor } from "../packages/daemon/node-flags.mjs";

const bin = fileURLToPath(new URL("../node_modules/.bin", import.meta.url));

/** True when this very process can run our sources: Node strips types from 24.12 on. */
export function isNodeNewEnough() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  return major > 24 || (major === 24 && minor >= 12);
}

/** Runs a file in a child under the pinned Node and ends as it ends; `node` means the pinned one for its children too. */
export function runUnderPinnedNode(file, args) {
  const pinned = `${bin}/node`;
  const node = existsSync(pinned) ? pinned : process.execPath;
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH ?? ""}` };
  const child = spawn(node, [...nodeFlagsFor(file, args), file, ...args], { stdio: "inherit", env });
  // A terminal sends Ctrl-C to the whole group; a signal sent to us alone is passed on. The child decides when to end.
  process.on("SIGINT", () => {});
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    console.error(`cannot start the pinned Node: ${error.message}; run \`npm run setup\`.`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}
