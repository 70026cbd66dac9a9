import { mkdir, readFile, writeFile } from "node:fs/promises";
import { killAtExit, killProcesses, processesOf, runCommand, startTestHive, temporaryDirectory } from "@queen-and-hive/dev-env";
import { HIVE_ENDPOINTS } from "@queen-and-hive/protocol";
import { sleeperOrder } from "../sleeper.ts";
import type { Row } from "../table.ts";

const PROCESSES = 20;
const PM2 = "pm2@7.0.4";
const INSTALL_MS = 180_000;
const COMMAND_MS = 60_000;

/** What is there after a daemon was killed and started again. */
interface Aftermath {
  /** Processes that live and that the new daemon does not know. */
  readonly orphans: number;
  /** Processes that live beyond those that were wanted. */
  readonly duplicates: number;
  /** Those of before the kill that live still and that the new daemon knows. */
  readonly kept: number;
}

/** `kill -9` of a daemon that keeps 20 processes, then its usual start: ours, and pm2 where it can be installed. */
export async function killRows(): Promise<readonly Row[]> {
  const ours = await killHive();
  const theirs = await killPm2().catch((error: unknown) => {
    console.error(`pm2 is left out: ${error instanceof Error ? error.message : String(error)}`);
    return null;
  });
  return [...rowsOf("hive", "hive", ours, true), ...(theirs === null ? [] : rowsOf("pm2", "pm2", theirs, false))];
}

function rowsOf(id: string, name: string, { orphans, duplicates, kept }: Aftermath, hasAim: boolean): readonly Row[] {
  const common = { unit: "processes", atMost: hasAim ? 0 : null, samples: PROCESSES } as const;
  return [
    {
      id: `orphans_${id}`,
      what: `kill -9 of ${name} with ${PROCESSES} processes, then its start: orphans`,
      value: orphans,
      ...common,
    },
    { id: `duplicates_${id}`, what: "the same: duplicates", value: duplicates, ...common },
    {
      id: `kept_${id}`,
      what: "the same: processes of before that live and that it knows",
      value: kept,
      ...common,
      atMost: null,
      ...(hasAim ? { atLeast: PROCESSES } : {}),
    },
  ];
}

async function killHive(): Promise<Aftermath> {
  await using hive = await startTestHive();
  for (let index = 0; index < PROCESSES; index += 1) await hive.peer.call(HIVE_ENDPOINTS.postWorker, { body: sleeperOrder() });
  const before = sleepersIn(hive.folder);
  await hive.commands.kill();
  await hive.start();
  const { workers } = await hive.peer.call(HIVE_ENDPOINTS.listWorkers);
  return aftermath(
    before,
    sleepersIn(hive.folder),
    workers.map(({ pid }) => pid),
  );
}

async function killPm2(): Promise<Aftermath> {
  await using folder = await temporaryDirectory("qh-bench-pm2");
  using _guard = killAtExit(folder.path);
  // Whatever npm needs here to reach its registry stays.
  const inherited = Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
  const env = { ...Object.fromEntries(inherited), PM2_HOME: folder.join("pm2"), NO_COLOR: "1" };
  await mkdir(folder.join("pm2"));
  const run = async (argv: readonly string[], withinMs = COMMAND_MS): Promise<string> => {
    const result = await runCommand(argv, { env, cwd: folder.path, withinMs });
    if (result.exitCode !== 0)
      throw new Error(`${argv.join(" ")} ended with ${result.exitCode ?? result.signal}: ${result.stderr.slice(-500)}`);
    return result.stdout;
  };
  await run(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder.path, PM2], INSTALL_MS);
  const pm2 = (...words: readonly string[]): Promise<string> => run([folder.join("node_modules", ".bin", "pm2"), ...words]);
  try {
    const apps = Array.from({ length: PROCESSES }, (_, index) => {
      return { name: `sleeper-${index}`, script: "/bin/sleep", args: "1000", interpreter: "none", cwd: folder.path };
    });
    await writeFile(folder.join("ecosystem.json"), JSON.stringify({ apps }));
    await pm2("start", folder.join("ecosystem.json"));
    await pm2("save");
    const before = sleepersIn(folder.path);
    process.kill(Number(await readFile(folder.join("pm2", "pm2.pid"), "utf8")), "SIGKILL");
    // What its own unit for systemd runs at every start.
    await pm2("resurrect");
    const list: readonly { readonly pid: number }[] = JSON.parse(lastLineOf(await pm2("jlist")));
    return aftermath(
      before,
      sleepersIn(folder.path),
      list.map(({ pid }) => pid),
    );
  } finally {
    await killProcesses({ folder: folder.path });
  }
}

function aftermath(before: readonly Sleeper[], after: readonly Sleeper[], known: readonly (number | null)[]): Aftermath {
  // A search that finds none would report none to be lost.
  if (before.length !== PROCESSES) throw new Error(`cannot measure: ${before.length} processes are found of ${PROCESSES}`);
  const wereThere = new Set(before.map(({ start }) => start));
  return {
    orphans: after.filter(({ pid }) => !known.includes(pid)).length,
    duplicates: Math.max(0, after.length - PROCESSES),
    kept: after.filter(({ pid, start }) => wereThere.has(start) && known.includes(pid)).length,
  };
}

/** One process: its pid, and what no other process has, whatever becomes of the pid. */
interface Sleeper {
  readonly pid: number;
  readonly start: string;
}

function sleepersIn(folder: string): readonly Sleeper[] {
  return processesOf({ folder }).flatMap(({ identity: { pid, start_time }, command }) =>
    /^(\S*\/)?sleep 1000$/.test(command) ? [{ pid, start: `${pid} ${start_time}` }] : [],
  );
}

function lastLineOf(text: string): string {
  return text.trimEnd().split("\n").at(-1) ?? "";
}
