import { basename } from "node:path";
import { parseArgs } from "node:util";
import { parseDurationMs, parseWorkerId, QhError, WORKER_ENV, WORKER_EXIT, type WorkerId } from "@queen-and-hive/protocol";
import { StartFailure } from "../domain/start-failure.ts";
import { type CallbackAddress, parseCallbackUrl } from "./callback-url.ts";

/** Everything that a worker is told at its start. */
export interface WorkerConfig {
  readonly modelPath: string;
  /** The name that clients use. */
  readonly modelId: string;
  readonly host: string;
  readonly port: number;
  readonly slots: number;
  readonly contextTokensMax: number;
  readonly threads: number;
  readonly gpu: boolean;
  readonly maxWaiting: number;
  readonly maxWaitMs: number;
  /** The longest body of a request. */
  readonly bodyBytesMax: number;
  /** Requests must bring this as a Bearer key; null asks for none. */
  readonly key: string | null;
  /** Where readiness is said; null when nobody waits for it. */
  readonly callback: WorkerCallback | null;
  readonly logLevel: LogLevel;
  /** How long open requests may go on after a first TERM. */
  readonly stopDrainMs: number;
}

/** Whom a worker tells that it is ready, and as whom. */
export interface WorkerCallback {
  readonly workerId: WorkerId;
  readonly address: CallbackAddress;
  readonly token: string;
}

/** The levels of the log on stderr. */
type LogLevel = "debug" | "info" | "warn" | "error";

/** What a worker does when nothing else is said. A port of 0 takes any free one. */
const WORKER_DEFAULTS = {
  host: "127.0.0.1",
  port: 0,
  slots: 4,
  contextTokensMax: 8192,
  maxWaiting: 100,
  maxWaitMs: 60_000,
  bodyBytesMax: 50 * 1024 * 1024,
  logLevel: "info",
  stopDrainMs: 1_000,
} as const;

const OPTIONS = {
  model: { type: "string" },
  name: { type: "string" },
  host: { type: "string" },
  port: { type: "string" },
  slots: { type: "string" },
  context: { type: "string" },
  threads: { type: "string" },
  gpu: { type: "boolean" },
  "max-waiting": { type: "string" },
  "max-wait": { type: "string" },
  "stop-drain": { type: "string" },
  "log-level": { type: "string" },
} as const;

/** How the worker is used by hand. */
const WORKER_USAGE = `usage: worker --model FILE.gguf [--port N] [--host H] [--slots N] [--name ID] [--context TOKENS] [--threads N]
              [--gpu] [--max-waiting N] [--max-wait 60s] [--stop-drain 1s] [--log-level debug|info|warn|error]`;

/** The surroundings from which a configuration is read. */
export interface WorkerSurroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly args: readonly string[];
  /** Cores that this process may use. */
  readonly cores: number;
}

/** Flags before environment before defaults. Throws StartFailure with `badConfiguration`, naming the variable or flag. */
export function readWorkerConfig({ env, args, cores }: WorkerSurroundings): WorkerConfig {
  const flags = readFlags(args);
  const said = (flag: string | undefined, variable: string): string | undefined => flag ?? present(env[variable]);
  const modelPath = said(flags.model, WORKER_ENV.modelPath);
  if (modelPath === undefined) throw bad(`no model is given: set ${WORKER_ENV.modelPath} or --model\n${WORKER_USAGE}`);
  const slots = said(flags.slots, WORKER_ENV.slots);
  return {
    modelPath,
    modelId: said(flags.name, WORKER_ENV.model) ?? basename(modelPath, ".gguf"),
    host: said(flags.host, WORKER_ENV.host) ?? WORKER_DEFAULTS.host,
    port: integer("port", said(flags.port, WORKER_ENV.port), WORKER_DEFAULTS.port, 0, 65_535),
    slots: slots === "auto" ? WORKER_DEFAULTS.slots : integer("number of slots", slots, WORKER_DEFAULTS.slots, 1, 256),
    contextTokensMax: integer("context", flags.context, WORKER_DEFAULTS.contextTokensMax, 16, 2 ** 24),
    // ggml spins: with a thread on every core a token takes a hundred times longer as soon as anything else runs.
    threads: integer("number of threads", flags.threads, Math.max(1, cores - 1), 1, 1024),
    gpu: flags.gpu === true,
    maxWaiting: integer("number of waiting requests", flags["max-waiting"], WORKER_DEFAULTS.maxWaiting, 0, 100_000),
    maxWaitMs: duration(flags["max-wait"], WORKER_DEFAULTS.maxWaitMs),
    bodyBytesMax: WORKER_DEFAULTS.bodyBytesMax,
    key: present(env[WORKER_ENV.workerKey]) ?? null,
    callback: readCallback(env),
    logLevel: readLogLevel(flags["log-level"]),
    stopDrainMs: duration(flags["stop-drain"], WORKER_DEFAULTS.stopDrainMs),
  };
}

function readFlags(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: false }).values;
  } catch (error) {
    throw bad(`${error instanceof Error ? error.message : String(error)}\n${WORKER_USAGE}`);
  }
}

function readCallback(env: WorkerSurroundings["env"]): WorkerCallback | null {
  const url = present(env[WORKER_ENV.callbackUrl]);
  if (url === undefined) return null;
  const address = parseCallbackUrl(url);
  if (address === null)
    throw bad(`${WORKER_ENV.callbackUrl} is neither an http(s) URL nor unix:<absolute path>: ${JSON.stringify(url)}`);
  const workerId = parseWorkerId(env[WORKER_ENV.workerId] ?? "");
  if (workerId === null)
    throw bad(`${WORKER_ENV.workerId} is not the id of a worker: ${JSON.stringify(env[WORKER_ENV.workerId] ?? "")}`);
  const token = present(env[WORKER_ENV.callbackToken]);
  if (token === undefined) throw bad(`${WORKER_ENV.callbackUrl} is set but ${WORKER_ENV.callbackToken} is not`);
  return { workerId, address, token };
}

function integer(what: string, text: string | undefined, fallback: number, least: number, most: number): number {
  if (text === undefined) return fallback;
  const value = /^[0-9]{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw bad(`the ${what} must be a number from ${least} to ${most}, not ${JSON.stringify(text)}`);
}

function duration(text: string | undefined, fallbackMs: number): number {
  if (text === undefined) return fallbackMs;
  try {
    return parseDurationMs(text);
  } catch (error) {
    if (error instanceof QhError) throw bad(error.message);
    throw error;
  }
}

function readLogLevel(text: string | undefined): LogLevel {
  switch (text) {
    case undefined:
      return WORKER_DEFAULTS.logLevel;
    case "debug":
    case "info":
    case "warn":
    case "error":
      return text;
    default:
      throw bad(`the log level must be debug, info, warn or error, not ${JSON.stringify(text)}`);
  }
}

/** An empty variable says nothing. */
function present(value: string | undefined): string | undefined {
  return value === "" ? undefined : value;
}

function bad(what: string): StartFailure {
  return new StartFailure(WORKER_EXIT.badConfiguration, `cannot start the worker: ${what}`);
}
