// Plays the scenario of two hosts for a person: `npm run show:hosts`. Uses the executable of `npm run build:hive` where it is there.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { showTwoHosts } from "@queen-and-hive/dev-env";

const built = fileURLToPath(new URL(`../dist/hive-linux-${process.arch}`, import.meta.url));
const started = performance.now();
const say = (line: string): void => console.log(`${((performance.now() - started) / 1_000).toFixed(1).padStart(6)} s  ${line}`);
await showTwoHosts({ say, executable: existsSync(built) ? built : null });
