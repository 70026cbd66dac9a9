import { isAbsolute } from "node:path";
import { QhError, type WorkerSpec } from "@queen-and-hive/protocol";
import { fillCommand, fillFileWords } from "../domain/command-line.ts";
import type { EmbeddedLauncher, SupervisorConfig } from "../workers/supervisor-options.ts";
import { ENGINES, type Engine, findEngine } from "./engines.ts";
import { findProgram } from "./find-program.ts";
import { locateModel } from "./model-path.ts";

/** The name of the runtime that the hive brings itself. */
const EMBEDDED = "embedded";

/** What a launch is resolved from. */
export interface LaunchContext {
  readonly workerId: string;
  readonly spec: WorkerSpec;
  readonly ports: readonly number[];
  readonly config: SupervisorConfig;
  readonly embeddedWorker: () => EmbeddedLauncher | { readonly unavailable: string };
  /** The worker's PATH. */
  readonly searchPath: string;
}

/** The recipe of a runtime on this host, before its placeholders are filled in, and the model's path. */
export interface ResolvedRuntime {
  readonly command: readonly string[];
  /** Absolute; "" for a model without a file. */
  readonly modelPath: string;
  /** The words for the model's further files. */
  readonly fileWords: readonly string[];
}

/**
 * Finds the program and the model of a worker on this host, without taking anything. Throws `runtime_unavailable`,
 * `model_missing`, `spawn_failed` (with `details.cause: "runtime_missing"`).
 */
export function resolveRuntime({
  spec,
  config,
  embeddedWorker,
  searchPath,
}: Omit<LaunchContext, "ports" | "workerId">): ResolvedRuntime {
  const recipe = recipeOf(spec, embeddedWorker);
  const modelPath = spec.model.path === undefined ? "" : locateModel(spec.model.path, config);
  const [first = "", ...rest] = recipe;
  const own = hostProgram(spec, config);
  const word = own ?? first;
  const engine = own === undefined ? engineOf(spec.runtime, first) : undefined;
  const program = (engine === undefined ? null : findEngine(engine, searchPath)) ?? findProgram(word, searchPath);
  if (program === null) {
    throw new QhError(
      "spawn_failed",
      `cannot find the program ${word} of the runtime ${spec.runtime.name} on this host; ${
        isAbsolute(word) || !word.includes("/") ? "install it" : "write its whole path"
      } or set runtimes.${spec.runtime.name}.bin`,
      { details: { cause: "runtime_missing", program: word } },
    );
  }
  return { command: [program, ...rest], modelPath, fileWords: fileWordsOf(spec, config) };
}

function isEmbedded({ name, extends: bases = [] }: WorkerSpec["runtime"]): boolean {
  return name === EMBEDDED || bases.includes(EMBEDDED);
}

/** The command line of a worker: the recipe with its placeholders filled in, then the model's own arguments. */
export function commandLine(
  { workerId, spec, ports, config }: LaunchContext,
  { command, modelPath, fileWords }: ResolvedRuntime,
): readonly string[] {
  const filled = fillCommand(command, {
    host: config.workerHost,
    ports,
    model: spec.model.id,
    model_path: modelPath,
    models_dir: config.modelsDir ?? "",
    devices: spec.devices,
    slots: spec.slots === "auto" ? "" : String(spec.slots),
    worker_id: workerId,
  });
  return [...filled, ...fileWords, ...spec.args];
}

/** The server that we know where to look for, when the recipe starts it by its usual name. */
function engineOf({ name, extends: bases = [] }: WorkerSpec["runtime"], word: string): Engine | undefined {
  return ENGINES.find((engine) => engine.program === word && [name, ...bases].includes(engine.name));
}

/** Where this host keeps the program of a runtime, or of the nearest runtime that it extends. */
function hostProgram({ runtime }: WorkerSpec, { runtimes }: SupervisorConfig): string | undefined {
  return [runtime.name, ...(runtime.extends ?? [])].map((name) => runtimes[name]?.bin).find((bin) => bin !== undefined);
}

function fileWordsOf({ model, runtime }: WorkerSpec, config: SupervisorConfig): readonly string[] {
  return Object.entries(model.files ?? {}).flatMap(([name, path]) => {
    const words = Object.hasOwn(runtime.files ?? {}, name) ? runtime.files?.[name] : undefined;
    if (words === undefined) {
      throw new QhError(
        "invalid_body",
        `cannot pass the file ${JSON.stringify(name)} to the runtime ${runtime.name}: its recipe takes ${
          Object.keys(runtime.files ?? {}).join(", ") || "none"
        }; add it to runtimes.${runtime.name}.files`,
        { param: `/spec/model/files/${name}` },
      );
    }
    return fillFileWords(words, locateModel(path, config, `/spec/model/files/${name}`));
  });
}

function recipeOf(spec: WorkerSpec, embeddedWorker: LaunchContext["embeddedWorker"]): readonly string[] {
  if (spec.runtime.command !== undefined) return spec.runtime.command;
  if (!isEmbedded(spec.runtime)) {
    throw new QhError(
      "runtime_unavailable",
      `cannot start the runtime ${spec.runtime.name}: its recipe has no command; give runtimes.${spec.runtime.name}.command`,
      { param: "/spec/runtime/command", details: { runtime: spec.runtime.name } },
    );
  }
  const launcher = embeddedWorker();
  if ("command" in launcher) return launcher.command;
  throw new QhError("runtime_unavailable", `cannot start the embedded worker: ${launcher.unavailable}`, {
    details: { runtime: EMBEDDED, reason: launcher.unavailable },
  });
}
