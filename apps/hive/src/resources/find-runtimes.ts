import { statSync } from "node:fs";
import type { Clock } from "@queen-and-hive/daemon/basics";
import type { Capabilities } from "@queen-and-hive/protocol";
import { ENGINES, type Engine, findEngine, packageVersion } from "../runtimes/engines.ts";
import { findProgram } from "../runtimes/find-program.ts";
import type { EmbeddedLauncher } from "../workers/supervisor-options.ts";
import { runTool } from "./run-tool.ts";

type RuntimeFound = Capabilities["runtimes"][number];

/** What the search for runtimes depends on. */
export interface RuntimesQuestion {
  /** Where this host keeps an engine. */
  readonly bins: Readonly<Record<string, { readonly bin?: string }>>;
  readonly searchPath: string;
  readonly embedded: EmbeddedLauncher | { readonly unavailable: string };
  /** Of this program. */
  readonly version: string;
  readonly clock: Clock;
}

/** Every runtime that this host could start: our own worker, the servers that we know, and what the configuration names. */
export async function findRuntimes(question: RuntimesQuestion): Promise<readonly RuntimeFound[]> {
  const { bins } = question;
  const known = ENGINES.map((engine) => engineFound(engine, question));
  const others = Object.entries(bins)
    .filter(([name]) => !ENGINES.some((engine) => engine.name === name))
    .flatMap(([name, { bin }]) => (bin === undefined ? [] : [programFound(name, bin, question)]));
  return await Promise.all([embeddedFound(question), ...known, ...others]);
}

function embeddedFound({ embedded, version }: RuntimesQuestion): RuntimeFound {
  return "unavailable" in embedded
    ? missing("embedded", embedded.unavailable)
    : { name: "embedded", available: true, path: embedded.command.at(-1) ?? null, version, reason: null };
}

async function engineFound(engine: Engine, question: RuntimesQuestion): Promise<RuntimeFound> {
  const { name, program, pythonPackage } = engine;
  const bin = question.bins[name]?.bin;
  if (bin !== undefined && findProgram(bin, question.searchPath) === null) return programFound(name, bin, question);
  const path = bin === undefined ? findEngine(engine, question.searchPath) : findProgram(bin, question.searchPath);
  if (path === null) {
    const what = pythonPackage === null || program === pythonPackage ? program : `${program} with the package ${pythonPackage}`;
    return missing(name, `there is no ${what} on the PATH or in the usual places; install it or set runtimes.${name}.bin`);
  }
  const version = pythonPackage === null ? await askVersion(path, question.clock) : packageVersion(path, pythonPackage);
  return { name, available: true, path, version, reason: null };
}

function programFound(name: string, bin: string, { searchPath }: RuntimesQuestion): RuntimeFound {
  const path = findProgram(bin, searchPath);
  if (path === null) return missing(name, `there is no program ${bin}; install it or change runtimes.${name}.bin`);
  return { name, available: true, path, version: null, reason: null };
}

function missing(name: string, reason: string): RuntimeFound {
  return { name, available: false, path: null, version: null, reason };
}

const VERSION_MS = 5_000;
const versions = new Map<string, { readonly modifiedMs: number; readonly version: string | null }>();

/** `llama-server --version` prints `version: 6123 (1a2b3c4)`; asked once per program file. */
async function askVersion(path: string, clock: Clock): Promise<string | null> {
  const modifiedMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const known = versions.get(path);
  if (known?.modifiedMs === modifiedMs) return known.version;
  const answer = await runTool(path, ["--version"], VERSION_MS, clock);
  const version = "said" in answer ? (/^version:\s*(.+)$/m.exec(answer.said)?.[1]?.trim() ?? null) : null;
  versions.set(path, { modifiedMs, version });
  return version;
}
