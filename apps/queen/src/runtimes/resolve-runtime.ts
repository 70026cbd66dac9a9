import { parseDurationMs, type RuntimeRecipe } from "@queen-and-hive/protocol";
import { EMBEDDED } from "./embedded.ts";
import { LLAMA_SERVER } from "./llama-server.ts";
import type { RuntimeDefinition } from "./runtime-definition.ts";
import { SGLANG } from "./sglang.ts";
import { VLLM } from "./vllm.ts";

const BUILT_IN: Readonly<Record<string, RuntimeDefinition>> = {
  embedded: EMBEDDED,
  "llama-server": LLAMA_SERVER,
  vllm: VLLM,
  sglang: SGLANG,
};

/** Runtimes that need no entry under `runtimes:`. An entry of the same name varies them. */
export const BUILT_IN_RUNTIMES: readonly string[] = Object.keys(BUILT_IN);

/** The runtimes of a configuration file. */
export type Runtimes = Readonly<Record<string, RuntimeDefinition>>;

/** A runtime with everything that it takes over from those that it extends. */
export interface ResolvedRuntime {
  readonly recipe: RuntimeRecipe;
  /** Come before the model's own. */
  readonly args: readonly string[];
  /** The model's own win. */
  readonly env: Readonly<Record<string, string>>;
  /** Paths beside OpenAI's that clients may reach. */
  readonly routes: readonly string[];
  /** How many devices a worker gets when the model says nothing. */
  readonly devices: number;
}

/** Why a runtime cannot be resolved: the name that is not known, or the one that is its own base. */
export type RuntimeProblem = { readonly kind: "unknown" | "circle"; readonly name: string };

/** A runtime as it travels in a spawn; or what is wrong with it. */
export function resolveRuntime(runtimes: Runtimes, name: string): ResolvedRuntime | RuntimeProblem {
  const lineage = lineageOf(runtimes, name);
  if ("kind" in lineage) return lineage;
  const merged = lineage.definitions.reduceRight(extend, {});
  const { extends: _base, args, env, routes, devices, stop, ...parts } = merged;
  const bases = [...new Set(lineage.names)].filter((base) => base !== name);
  return {
    recipe: {
      name,
      ...(bases.length === 0 ? {} : { extends: bases }),
      ...parts,
      ...(stop?.term === undefined ? {} : { stop: { term_s: secondsOf(stop.term) } }),
    },
    args: args ?? [],
    env: env ?? {},
    routes: routes ?? [],
    devices: devices ?? DEVICES_DEFAULT,
  };
}

const DEVICES_DEFAULT = 1;

interface Lineage {
  /** The runtime itself, then what it extends. */
  readonly names: readonly string[];
  readonly definitions: readonly RuntimeDefinition[];
}

function lineageOf(runtimes: Runtimes, name: string): Lineage | RuntimeProblem {
  const names: string[] = [];
  const definitions: RuntimeDefinition[] = [];
  for (let next: string | undefined = name; next !== undefined; ) {
    if (names.includes(next)) return { kind: "circle", name: next };
    names.push(next);
    const own: RuntimeDefinition | undefined = ownEntry(runtimes, next);
    const builtIn: RuntimeDefinition | undefined = ownEntry(BUILT_IN, next);
    if (own === undefined && builtIn === undefined) return { kind: "unknown", name: next };
    if (own !== undefined) definitions.push(own);
    // An entry named like a built-in runtime varies it, unless it says that it extends another one.
    const base: string | undefined = builtIn !== undefined && own?.extends === next ? undefined : own?.extends;
    if (base === undefined && builtIn !== undefined) definitions.push(builtIn);
    next = base;
  }
  return { names, definitions };
}

/** What is said wins; arguments, variables, files and routes are added; causes of the variation are looked at first. */
function extend(base: RuntimeDefinition, over: RuntimeDefinition): RuntimeDefinition {
  return {
    ...base,
    ...over,
    ...(over.args === undefined ? {} : { args: [...(base.args ?? []), ...over.args] }),
    ...(over.env === undefined ? {} : { env: { ...base.env, ...over.env } }),
    ...(over.files === undefined ? {} : { files: { ...base.files, ...over.files } }),
    ...(over.causes === undefined ? {} : { causes: [...over.causes, ...(base.causes ?? [])] }),
    ...(over.routes === undefined ? {} : { routes: [...(base.routes ?? []), ...over.routes] }),
  };
}

/** Null is `off`: no limit of its own. */
function secondsOf(duration: string): number | null {
  const ms = parseDurationMs(duration);
  return Number.isFinite(ms) ? ms / 1_000 : null;
}

function ownEntry<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
