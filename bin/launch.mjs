import { existsSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { nodeFlagsFor } from "../packages/daemon/node-flags.mjs";
import { isNodeNewEnough, runUnderPinnedNode } from "../scripts/pinned-node.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/**
 * Starts an app of this checkout: in this process when its Node can strip types, else in a child under the pinned Node.
 * Flags of Node that the app is to have are given by starting this very process anew, under the same pid.
 */
export async function launch(app) {
  const main = here(`../apps/${app}/src/main.ts`);
  const args = process.argv.slice(2);
  if (!existsSync(here("../node_modules/.setup-stamp"))) {
    console.error(`${app}: the dependencies are not installed; run \`npm run setup\` in ${here("..")} first.`);
    process.exit(1);
  }
  if (!isNodeNewEnough()) return runUnderPinnedNode(main, args);
  const flags = nodeFlagsFor(main, args);
  if (flags.length > 0) process.execve(process.execPath, [process.execPath, ...process.execArgv, ...flags, main, ...args]);
  process.argv[1] = main;
  await import(pathToFileURL(main).href);
}
