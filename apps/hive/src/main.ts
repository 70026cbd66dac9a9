import { enableCompileCache } from "node:module";
import { isSea } from "node:sea";
import { runsBindingTest } from "./cli/binding-test.ts";
import { ownEnvironment } from "./config-environment.ts";

// No top-level await: the single executable runs this as CommonJS. It brings its own code cache.
if (!isSea()) enableCompileCache();
const words = process.argv.slice(2);
if (!runsBindingTest(ownEnvironment(), words)) void main();

async function main(): Promise<void> {
  try {
    const { runProgram } = await import("./cli/program.ts");
    process.exit(await runProgram(words));
  } catch (error) {
    console.error("hive: cannot go on because of a fault of ours:", error);
    process.exit(1);
  }
}
