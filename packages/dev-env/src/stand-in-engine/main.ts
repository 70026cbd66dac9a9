// Passes for an inference server in tests: its command line, its health route, its description of itself and its last words
// are the real one's, its answers are the fake worker's. Usage: main.ts llama-server|vllm|sglang <arguments of that server>...
import { existsSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { sendError, sendJson } from "../fake-worker/json-answer.ts";
import { readOptions } from "../fake-worker/options.ts";
import { createFakeWorkerServer } from "../fake-worker/server.ts";
import { Slots } from "../fake-worker/slots.ts";
import type { FakeWorkerState } from "../fake-worker/state.ts";
import { Statistics } from "../fake-worker/statistics.ts";
import { type EngineKind, RefusedCommandLine, readCommandLine, type StandInFlags } from "./command-line.ts";

/** How many requests each takes when nothing is said; llama-server's is what b10434 chose by itself. */
const SLOTS: Readonly<Record<EngineKind, number>> = { "llama-server": 4, vllm: 256, sglang: 48 };
const VERSIONS: Readonly<Record<EngineKind, string>> = {
  "llama-server": "version: 0.1.0-dev (build 1, commit 7e4c0a9)\nbuilt with GNU 11.4.0 for Linux x86_64",
  vllm: "0.11.0",
  sglang: "0.5.3",
};
const LOAD_MS = 300;

const [word = "", ...argv] = process.argv.slice(2);
const kind = kindOf(word);
process.on("SIGTERM", () => process.exit(0));
if (argv.includes("--version") || argv.includes("-c")) console.log(VERSIONS[kind]);
else await serve(flagsOrExit());

async function serve(flags: StandInFlags): Promise<void> {
  if (!existsSync(flags.model))
    fail(`gguf_init_from_file: failed to open GGUF file '${flags.model}' (No such file or directory)`, 1);
  const slots = flags.slots ?? SLOTS[kind];
  const options = readOptions(["--model", flags.alias, "--slots", String(slots), "--ready", "none"], {});
  const state: FakeWorkerState = { options, statistics: new Statistics(), slots: new Slots(slots), progress: 0 };
  const inner = createFakeWorkerServer(state);
  const server = createServer((request, response) => {
    if (!answerItself(state, slots, request, response)) inner.emit("request", request, response);
  });
  server.on("error", () => fail(`start: couldn't bind HTTP server socket, hostname: ${flags.host}, port: ${flags.port}`, 1));
  // vLLM listens when it can serve; the others say meanwhile that they load.
  if (kind === "vllm") await sleep(LOAD_MS);
  server.listen(flags.port, flags.host);
  if (kind !== "vllm") await sleep(LOAD_MS);
  state.statistics.ready = true;
}

/** The routes in which the servers differ; false leaves the request to the fake worker. */
function answerItself(state: FakeWorkerState, slots: number, request: IncomingMessage, response: ServerResponse): boolean {
  const { ready } = state.statistics;
  if (request.url === "/health") {
    state.statistics.healthRequests += 1;
    if (ready) sendJson(response, 200, { status: "ok" });
    else sendError(response, 503, "unavailable_error", "Loading model");
    return true;
  }
  const key = process.env[KEY_VARIABLES[kind] ?? ""];
  if (key !== undefined && request.headers.authorization !== `Bearer ${key}`) {
    sendError(response, 401, "authentication_error", "Invalid API Key");
    return true;
  }
  if (kind === "llama-server" && request.url === "/props") sendJson(response, 200, { total_slots: slots });
  else if (kind === "sglang" && request.url === "/get_server_info") {
    const internal_states = [{ effective_max_running_requests_per_dp: slots }];
    sendJson(response, 200, { max_running_requests: null, internal_states });
  } else return false;
  return true;
}

const KEY_VARIABLES: Readonly<Partial<Record<EngineKind, string>>> = { "llama-server": "LLAMA_API_KEY", vllm: "VLLM_API_KEY" };

function kindOf(text: string): EngineKind {
  if (text === "llama-server" || text === "vllm" || text === "sglang") return text;
  fail(`cannot pass for ${JSON.stringify(text)}`, 2);
}

function flagsOrExit(): StandInFlags {
  try {
    return readCommandLine(kind, argv);
  } catch (error) {
    if (error instanceof RefusedCommandLine) fail(error.message, error.exitCode);
    throw error;
  }
}

function fail(message: string, code: number): never {
  console.error(message);
  process.exit(code);
}
