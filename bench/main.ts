// `npm run bench [-- NAME...]`: prints the tables of docs/performance.md. Figures are medians of one run on a machine
// that may be busy; compare the rows of one table with each other, not with another day's.
import { cpus, totalmem } from "node:os";
import { benchHive } from "./hive.ts";
import { benchReadiness } from "./readiness.ts";
import { mib } from "./statistics.ts";
import { printTable, type Row } from "./table.ts";

const BENCHES: Readonly<Record<string, { readonly title: string; readonly run: () => Promise<readonly Row[]> }>> = {
  readiness: { title: "From a worker's ready callback to the waiting request", run: benchReadiness },
  hive: { title: "The hive daemon", run: benchHive },
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !Object.hasOwn(BENCHES, name));
if (unknown.length > 0) {
  console.error(`cannot run ${unknown.join(", ")}: the benches are ${Object.keys(BENCHES).join(", ")}`);
  process.exit(2);
}
console.log(`Node ${process.version}, ${cpus().length} cores (${cpus()[0]?.model ?? "unknown"}), ${mib(totalmem())} memory`);
for (const [name, bench] of Object.entries(BENCHES)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  console.error(`running ${name} ...`);
  printTable(bench.title, await bench.run());
}
