import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type HealthSeen, type SamplerConnections, startTestQueen } from "@queen-and-hive/dev-env";
import { percentile } from "../statistics.ts";
import type { Row } from "../table.ts";
import { BAD_CLIENTS, type Misbehaviour } from "./bad-clients.ts";
import { startBadEngines } from "./bad-engines.ts";

const CALM_MS = 2_000;
/** So long for all to come round, on a machine that does other work. */
const LONGEST_MS = 180_000;
const ANSWER = '{"object":"chat.completion","choices":[]}';

/**
 * How long the queen takes to say how she is while clients and engines do everything bad at once, each again and again;
 * processes of their own ask her. She is a queen of its own: what she serves otherwise is not in it.
 */
export async function misbehavingRows(quick: boolean): Promise<readonly Row[]> {
  await using engines = await startBadEngines();
  await using good = await startGoodEngine();
  const urls = Object.entries({ ...engines.urls, good: good.url });
  await using queen = await startTestQueen({
    hives: [],
    config: {
      upstreams: urls.map(([id, url]) => ({ id, url: `${url}/v1`, models: { [id]: id }, presence: "best_effort" as const })),
      health: { interval: "1h", retry: "1h" },
      retry: { attempts: 1 },
      stream: { first_byte: "2s", idle: "2s" },
    },
  });
  await using bare = await startBareServer();
  const all = [...BAD_CLIENTS, ...engines.misbehaviours];
  const calm = await healthDuring(queen.url, "one", () => sleep(CALM_MS));
  const misbehave = () => misbehaveFor(quick ? 6_000 : 15_000, queen.url, all);
  let seen = calm;
  const beside = await healthDuring(bare.url, "one", async () => {
    seen = await healthDuring(queen.url, "one", misbehave);
  });
  // By itself: while connections come, the queen shares her time in another way.
  const seenNew = await healthDuring(queen.url, "new", misbehave);
  const common = { unit: "ms", samples: seen.samples } as const;
  return [
    {
      id: "health_calm",
      what: "/health of a queen with nothing to do, p99",
      value: percentile(calm.timesMs, 0.99),
      unit: "ms",
      atMost: null,
      samples: calm.samples,
    },
    {
      id: "health_misbehaving_p99",
      what: "/health while clients and engines misbehave, p99",
      value: percentile(seen.timesMs, 0.99),
      ...common,
      atMost: 50,
    },
    {
      id: "health_bare",
      what: "a server beside it that does nothing else, the slowest answer meanwhile",
      value: beside.worstMs,
      unit: "ms",
      atMost: null,
      samples: beside.samples,
    },
    {
      id: "health_misbehaving",
      what: "/health while clients and engines misbehave, the slowest",
      value: seen.worstMs,
      ...common,
      atMost: 50,
    },
    {
      id: "health_misbehaving_new",
      what: "the same over a new connection each time, p99",
      value: percentile(seenNew.timesMs, 0.99),
      unit: "ms",
      atMost: 50,
      samples: seenNew.samples,
    },
    {
      id: "health_misbehaving_new_slowest",
      what: "the same over a new connection each time, the slowest",
      value: seenNew.worstMs,
      unit: "ms",
      atMost: 50,
      samples: seenNew.samples,
    },
    {
      id: "health_misbehaving_failures",
      what: "of all these, answered with anything but 200",
      value: seen.failures.length + seenNew.failures.length,
      unit: "requests",
      atMost: 0,
      samples: seen.samples + seenNew.samples,
    },
  ];
}

async function healthDuring(url: string, connections: SamplerConnections, work: () => Promise<void>): Promise<HealthSeen> {
  const asker = startBeside("health-process.ts", [url, connections]);
  try {
    await asker.says("it began");
    await work();
    if (asker.child.connected) asker.child.send("stop");
    return (await asker.says("it had seen anything")) as HealthSeen;
  } finally {
    asker.child.kill("SIGKILL");
    await asker.gone;
  }
}

/** All of them at once, until each has come round. Throws when one never does: its part would not be in the figures. */
async function misbehaveFor(durationMs: number, url: string, all: readonly Misbehaviour[]): Promise<void> {
  const stop = new AbortController();
  const startedMs = performance.now();
  const timer = setTimeout(() => stop.abort(), LONGEST_MS);
  const neverDone = new Set(all.filter(({ isEndless }) => !isEndless));
  const keepOn = async (one: Misbehaviour): Promise<void> => {
    while (!stop.signal.aborted) {
      await one.misbehave(url, stop.signal);
      if (stop.signal.aborted) return;
      neverDone.delete(one);
      if (neverDone.size === 0 && performance.now() - startedMs >= durationMs) stop.abort();
    }
  };
  try {
    await Promise.all(all.flatMap((one) => Array.from({ length: one.times }, () => keepOn(one))));
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
  const missing = [...neverDone].map(({ what }) => what);
  if (missing.length > 0) throw new Error(`cannot measure: there was no time for ${missing.join("; ")}`);
}

async function startBareServer(): Promise<{ readonly url: string } & AsyncDisposable> {
  const server = startBeside("bare-server.ts");
  const port = await server.says("it listened");
  return {
    url: `http://127.0.0.1:${String(port)}`,
    [Symbol.asyncDispose]: async () => {
      server.child.kill("SIGKILL");
      await server.gone;
    },
  };
}

/** A program of this folder, which ends with us at the latest. */
interface Beside {
  readonly child: ChildProcess;
  readonly gone: Promise<unknown>;
  /** What it says next. Throws when it ends before that. */
  says(before: string): Promise<unknown>;
}

/**
 * Leads a session of its own: Linux shares the cores between sessions, where it is told to (autogroup), and what runs on another
 * machine otherwise does not wait for the bench's own work.
 */
function startBeside(file: string, args: readonly string[] = []): Beside {
  const child = fork(new URL(file, import.meta.url), args, { detached: true });
  const gone = once(child, "exit");
  const says = async (before: string): Promise<unknown> => {
    const said = await Promise.race([once(child, "message"), gone.then(() => null)]);
    if (said === null) throw new Error(`cannot measure with bench/gateway/${file}: it ended before ${before}`);
    return said[0];
  };
  return { child, gone, says };
}

/** Takes whatever comes, without looking at it. */
async function startGoodEngine(): Promise<{ readonly url: string } & AsyncDisposable> {
  const server = createServer((request, response) => {
    request.resume().on("end", () => response.writeHead(200, { "content-type": "application/json" }).end(ANSWER));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
