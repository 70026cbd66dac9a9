import { parseArgs } from "node:util";
import { WORKER_ENV } from "@queen-and-hive/protocol/worker-environment";
import { describeFaults, type FaultPlan, planFaults } from "./faults.ts";

/** How this fake worker says that it can serve. */
export type ReadyManner = "callback" | "http" | "none";

/** Everything that shapes one fake worker, from flags and from the environment that a hive gives to any worker. */
export interface FakeWorkerOptions {
  readonly host: string;
  readonly port: number;
  readonly model: string;
  /** Milliseconds between listening and being able to serve. */
  readonly loadMs: number;
  /** Tokens a second of each answer; 0 is as fast as possible. */
  readonly tokenRate: number;
  /** Tokens of an answer when the request asks for no fewer. */
  readonly tokens: number;
  /** Answers at the same time; further requests wait. */
  readonly slots: number;
  readonly ready: ReadyManner;
  /** Milliseconds between being able to serve and the ready callback. */
  readonly callbackDelayMs: number;
  readonly faults: FaultPlan;
  readonly workerId: string;
  readonly callbackUrl: string | null;
  readonly callbackToken: string | null;
  /** The key that inference requests must carry; null when none is asked for. */
  readonly workerKey: string | null;
}

/** The text of `--help`. */
export const HELP = `Usage: fake-worker [--host H] [--port P] [--model ID] [--load-ms 0] [--token-rate 0] [--tokens 8] [--slots 4]
                   [--ready callback|http|none] [--callback-delay-ms 0] [--fault NAME[=ARG]]...

An inference server for tests: OpenAI routes with made-up answers, GET /health, GET /stats. What is not given by a flag
comes from the variables that a hive gives to every worker. Faults:
${describeFaults()}`;

const FLAGS = {
  host: { type: "string" },
  port: { type: "string" },
  model: { type: "string" },
  "load-ms": { type: "string", default: "0" },
  "token-rate": { type: "string", default: "0" },
  tokens: { type: "string", default: "8" },
  slots: { type: "string" },
  ready: { type: "string", default: "callback" },
  "callback-delay-ms": { type: "string", default: "0" },
  fault: { type: "string", multiple: true, default: [] as string[] },
} as const;

/** Flags before environment before defaults. Throws an Error that says what is wrong with which flag. */
export function readOptions(argv: readonly string[], env: Readonly<Record<string, string | undefined>>): FakeWorkerOptions {
  const { values } = parseArgs({ args: [...argv], options: FLAGS, strict: true, allowPositionals: false });
  return {
    host: values.host ?? env[WORKER_ENV.host] ?? "127.0.0.1",
    port: numberOf("--port", values.port ?? env[WORKER_ENV.port] ?? "0"),
    model: values.model ?? env[WORKER_ENV.model] ?? "fake",
    loadMs: numberOf("--load-ms", values["load-ms"]),
    tokenRate: numberOf("--token-rate", values["token-rate"]),
    tokens: numberOf("--tokens", values.tokens),
    slots: numberOf("--slots", values.slots ?? slotsOf(env[WORKER_ENV.slots])),
    ready: readyMannerOf(values.ready),
    callbackDelayMs: numberOf("--callback-delay-ms", values["callback-delay-ms"]),
    faults: planFaults(values.fault),
    workerId: env[WORKER_ENV.workerId] ?? "fake-worker",
    callbackUrl: env[WORKER_ENV.callbackUrl] ?? null,
    callbackToken: env[WORKER_ENV.callbackToken] ?? null,
    workerKey: env[WORKER_ENV.workerKey] ?? null,
  };
}

/** `auto` leaves the number to the engine, which is us. */
function slotsOf(text: string | undefined): string {
  return text === undefined || text === "auto" || text === "" ? "4" : text;
}

function numberOf(flag: string, text: string): number {
  const number = Number(text);
  if (text.trim() === "" || !Number.isFinite(number) || number < 0) {
    throw new Error(`cannot read ${JSON.stringify(text)} as ${flag}; write a number that is not negative`);
  }
  return number;
}

function readyMannerOf(text: string): ReadyManner {
  if (text === "callback" || text === "http" || text === "none") return text;
  throw new Error(`cannot read ${JSON.stringify(text)} as --ready; write callback, http or none`);
}
