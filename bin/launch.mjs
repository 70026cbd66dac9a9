import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Starts an app of this checkout: in this process when its Node can strip types, else in a child under the pinned Node. */
export async function launch(app) {
  const main = here(`../apps/${app}/src/main.ts`);
  if (!existsSync(here("../node_modules/.setup-stamp"))) {
    console.error(`${app}: the dependencies are not installed; run \`npm run setup\` in ${here("..")} first.`);
    process.exit(1);
  }
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > 24 || (major === 24 && minor >= 12)) {
    process.argv[1] = main;
    await import(pathToFileURL(main).href);
    return;
  }
  runUnderPinnedNode(main);
}

function runUnderPinnedNode(main) {
  const child = spawn(here("../node_modules/.bin/node"), [main, ...process.argv.slice(2)], { stdio: "inherit" });
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
