import { existsSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { isNodeNewEnough, runUnderPinnedNode } from "../scripts/pinned-node.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Starts an app of this checkout: in this process when its Node can strip types, else in a child under the pinned Node. */
export async function launch(app) {
  const main = here(`../apps/${app}/src/main.ts`);
  if (!existsSync(here("../node_modules/.setup-stamp"))) {
    console.error(`${app}: the dependencies are not installed; run \`npm run setup\` in ${here("..")} first.`);
    process.exit(1);
  }
  if (!isNodeNewEnough()) return runUnderPinnedNode(main, process.argv.slice(2));
  process.argv[1] = main;
  await import(pathToFileURL(main).href);
}
