// The Node that this project is written for comes with its dependencies; programs of ours run under it from whichever
// Node (20 or newer) they were called with. Runs under that older Node, so it uses no TypeScript and no dependency.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";

const bin = fileURLToPath(new URL("../node_modules/.bin", import.meta.url));

/** True when this very process can run our sources: Node strips types from 24.12 on. */
export function isNodeNewEnough() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  return major > 24 || (major === 24 && minor >= 12);
}

/**
 * What Node is told that runs this file and is not told already. Of the queen's commands only `serve` has the use of it, and
 * docs/performance.md says what it is good for. V8 lets the young generation of a busy server grow to 96 MB, half of it is as
 * fast; and it has four threads collect garbage, which keep her own from its core where there are but two.
 */
export function flagsFor(file, args, told = [...process.execArgv, process.env.NODE_OPTIONS ?? ""]) {
  if (!/\bqueen(\.mjs|\/src\/main\.ts)$/.test(file) || !args.includes("serve")) return [];
  const given = told.join(" ").replaceAll("_", "-");
  const wanted = { "--max-semi-space-size": 16, "--v8-pool-size": Math.min(Math.max(availableParallelism() - 1, 1), 4) };
  return Object.entries(wanted).flatMap(([flag, value]) => (given.includes(flag) ? [] : [`${flag}=${value}`]));
}

/** Runs a file in a child under the pinned Node and ends as it ends; `node` means the pinned one for its children too. */
export function runUnderPinnedNode(file, args) {
  const pinned = `${bin}/node`;
  const node = existsSync(pinned) ? pinned : process.execPath;
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH ?? ""}` };
  const child = spawn(node, [...flagsFor(file, args), file, ...args], { stdio: "inherit", env });
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
