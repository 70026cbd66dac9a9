// `npm run bench [-- [--json] [--quick] NAME...]`: prints the tables of docs/performance.md, or one JSON object for programs.
// Figures are of one run on a machine that may be busy; compare the rows of one run with each other, not with another day's.
import { cpus, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { benchGateway } from "./gateway.ts";
import { benchHive } from "./hive.ts";
import { benchReadiness } from "./readiness.ts";
import { benchRecovery } from "./recovery.ts";
import { benchSsh } from "./ssh.ts";
import { benchSupervision } from "./supervision/supervision.ts";
import { type Row, tableOf } from "./table.ts";

const BENCHES: Readonly<Record<string, { readonly title: string; readonly run: (quick: boolean) => Promise<readonly Row[]> }>> = {
  readiness: { title: "From a worker's ready callback to the waiting request", run: benchReadiness },
  gateway: { title: "The gateway", run: benchGateway },
  supervision: { title: "Workers that cannot be lost", run: benchSupervision },
  hive: { title: "The hive daemon", run: benchHive },
  recovery: { title: "Loss and return", run: benchRecovery },
  ssh: { title: "Hosts over SSH", run: benchSsh },
};

const { json, quick, names } = readArguments();
const machine = { node: process.version, cores: cpus().length, cpu: cpus()[0]?.model ?? "unknown", memory_bytes: totalmem() };
const tables: { readonly name: string; readonly title: string; readonly rows: readonly Row[] }[] = [];
if (!json) {
  const memory = `${(machine.memory_bytes / 1e9).toFixed(0)} GB memory`;
  console.log(`Node ${machine.node}, ${machine.cores} cores (${machine.cpu}), ${memory}`);
}
for (const name of names) {
  const bench = BENCHES[name];
  if (bench === undefined) continue;
  console.error(`running ${name} ...`);
  const rows = await bench.run(quick);
  tables.push({ name, title: bench.title, rows });
  if (!json) console.log(`\n## ${bench.title}\n\n${tableOf(rows)}`);
}
if (json) console.log(JSON.stringify({ machine, tables }));

function readArguments(): { readonly json: boolean; readonly quick: boolean; readonly names: readonly string[] } {
  try {
    const { values, positionals } = parseArgs({
      options: { json: { type: "boolean" }, quick: { type: "boolean" } },
      allowPositionals: true,
    });
    const unknown = positionals.filter((name) => !Object.hasOwn(BENCHES, name));
    if (unknown.length > 0) throw new Error(`there is no bench ${unknown.join(", ")}`);
    const named = positionals.length > 0 ? positionals : Object.keys(BENCHES);
    return { json: values.json === true, quick: values.quick === true, names: named };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    console.error(`cannot run this: ${why}; usage: npm run bench -- [--json] [--quick] [${Object.keys(BENCHES).join("|")}]...`);
    process.exit(2);
  }
}
