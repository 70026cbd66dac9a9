import { setTimeout as sleep } from "node:timers/promises";
import type { TestQueen } from "@queen-and-hive/dev-env";
import { measureAffinity } from "./gateway/affinity.ts";
import { collectGarbage } from "./gateway/collect-garbage.ts";
import { type Load, runLoad } from "./gateway/load.ts";
import { misbehavingRows } from "./gateway/misbehaving.ts";
import { cpuMicroseconds, descriptors, residentBytes } from "./gateway/process-cost.ts";
import { startTargets, type Target, type Targets } from "./gateway/targets.ts";
import { median, percentile } from "./statistics.ts";
import type { Row } from "./table.ts";

/** How much is measured. */
interface Extent {
  readonly rounds: number;
  readonly sequential: number;
  readonly concurrent: number;
  readonly streams: { readonly count: number; readonly tokens: number };
  readonly open: { readonly count: number; readonly tokens: number; readonly rounds: number };
  readonly leakRequests: number;
}

const FULL: Extent = {
  rounds: 7,
  sequential: 400,
  concurrent: 4_000,
  streams: { count: 100, tokens: 240 },
  open: { count: 1_000, tokens: 80, rounds: 5 },
  leakRequests: 100_000,
};
const QUICK: Extent = {
  rounds: 2,
  sequential: 150,
  concurrent: 1_000,
  streams: { count: 50, tokens: 30 },
  open: { count: 200, tokens: 40, rounds: 2 },
  leakRequests: 5_000,
};

const CONNECTIONS = 32;
/** Looks at the heap, and what lies between two of them, milliseconds. */
const LOOKS = 10;
const LOOK_MS = 200;
const TOKEN_MS = 20;
const OPEN_TOKEN_MS = 50;

/** What one target has shown in each round. */
interface Seen {
  readonly p50Ms: number[];
  readonly perSecond: number[];
  readonly cpuPerRequest: number[];
  readonly cpuPerToken: number[];
}

/**
 * The queen beside going straight to the engine, nginx, haproxy and Portkey's gateway: in each round every one has its turn
 * with the same load, so that what else the machine does meets them all; latencies, CPU times and throughput are medians of
 * the rounds. After them, open streams in rounds of their own; leaks, affinity and health beside bad clients once.
 */
export async function benchGateway(quick: boolean): Promise<readonly Row[]> {
  const extent = quick ? QUICK : FULL;
  await using targets = await startTargets();
  const { direct, queen, nginx, haproxy, portkey } = targets;
  const compared = [direct, queen, nginx, haproxy, portkey];
  const seen = new Map(compared.map((target) => [target, newSeen()]));
  // What is compared has run for a while: compilers have done their work.
  for (const target of compared) await measure(target, extent, newSeen());
  for (let round = 0; round < extent.rounds; round += 1) {
    for (const [target, into] of seen) await measure(target, extent, into);
  }
  return [
    ...latencyRows(seen, direct, extent),
    ...costRows(seen, targets, extent),
    ...(await openStreamRows(targets, extent)),
    ...(await leakRows(targets, extent)),
    ...(await affinityRows(quick)),
    ...(await misbehavingRows(quick)),
  ];
}

/** Whole answers: Portkey waits 25 ms in every stream, which is nothing to compare with; and it is so slow that a quarter will do. */
function whole(target: Target, count: number): Load {
  return { connections: CONNECTIONS, requests: isPortkey(target) ? count / 4 : count, tokens: 0, intervalMs: 0 };
}

function isPortkey(target: Target): boolean {
  return target.name === "portkey";
}

async function measure(target: Target, extent: Extent, into: Seen): Promise<void> {
  const many = await runLoad(target, whole(target, extent.concurrent));
  into.perSecond.push((many.requests / many.tookMs) * 1_000);
  if (isPortkey(target)) return;
  const one = await runLoad(target, { connections: 1, requests: extent.sequential, tokens: 1, intervalMs: 0 });
  into.p50Ms.push(median(one.latenciesMs));
  const { pid } = target;
  if (pid === null) return;
  const before = cpuMicroseconds(pid);
  await runLoad(target, { connections: CONNECTIONS, requests: extent.concurrent, tokens: 1, intervalMs: 0 });
  const cpuPerRequest = (cpuMicroseconds(pid) - before) / extent.concurrent;
  into.cpuPerRequest.push(cpuPerRequest);
  const { count, tokens } = extent.streams;
  const beforeStreams = cpuMicroseconds(pid);
  await runLoad(target, { connections: count, requests: count, tokens, intervalMs: TOKEN_MS, rampMs: 200 });
  into.cpuPerToken.push((cpuMicroseconds(pid) - beforeStreams - count * cpuPerRequest) / (count * (tokens - 1)));
}

function latencyRows(seen: ReadonlyMap<Target, Seen>, direct: Target, extent: Extent): readonly Row[] {
  const base = seen.get(direct)?.p50Ms ?? [];
  const samples = extent.rounds * extent.sequential;
  return [...seen]
    .filter(([, { p50Ms }]) => p50Ms.length > 0)
    .map(([target, { p50Ms }]) => ({
      id: `latency_${target.name}`,
      what: target === direct ? "chat of one token, 1 connection, direct, p50" : `added by ${target.name}`,
      value: target === direct ? median(p50Ms) : median(p50Ms.map((ms, round) => ms - (base[round] ?? 0))),
      unit: "ms" as const,
      atMost: target.name === "queen" ? 0.5 : null,
      samples,
    }));
}

function costRows(seen: ReadonlyMap<Target, Seen>, targets: Targets, extent: Extent): readonly Row[] {
  const { queen, nginx, portkey } = targets;
  const rowsOf = (id: string, what: string, unit: Row["unit"], samples: number, pick: (seen: Seen) => number[]): Row[] =>
    [...seen]
      .filter(([, one]) => pick(one).length > 0)
      .map(([target, one]) => ({
        id: `${id}_${target.name}`,
        what: `${what}, ${target.name}`,
        value: median(pick(one)),
        unit,
        atMost: null,
        samples,
      }));
  const quotient = (one: Target, other: Target, pick: (seen: Seen) => number[]): number => {
    const others = pick(seen.get(other) ?? NOTHING);
    return median(pick(seen.get(one) ?? NOTHING).map((value, round) => value / (others[round] ?? Number.NaN)));
  };
  const times = (id: string, what: string, value: number, bound: Partial<Row>): Row => ({
    id,
    what,
    value,
    unit: "times",
    atMost: null,
    samples: extent.rounds,
    ...bound,
  });
  const count = extent.rounds * extent.concurrent;
  const tokens = extent.rounds * extent.streams.count * (extent.streams.tokens - 1);
  const requestCost = quotient(queen, nginx, (one) => one.cpuPerRequest);
  const tokenCost = quotient(queen, nginx, (one) => one.cpuPerToken);
  const speed = quotient(queen, portkey, (one) => one.perSecond);
  return [
    ...rowsOf("cpu_request", "CPU a request", "us", count, (one) => one.cpuPerRequest),
    times("cpu_request_ratio", "CPU a request, queen : nginx", requestCost, { atMost: 6 }),
    ...rowsOf("cpu_token", "CPU a further streamed token", "us", tokens, (one) => one.cpuPerToken),
    times("cpu_token_ratio", "CPU a streamed token, queen : nginx", tokenCost, { atMost: 2.2 }),
    ...rowsOf("per_second", `whole answers a second, ${CONNECTIONS} connections`, "per second", count, (one) => one.perSecond),
    times("per_second_ratio", "whole answers a second, queen : portkey", speed, { atLeast: 4 }),
  ];
}

const NOTHING: Seen = newSeen();

function newSeen(): Seen {
  return { p50Ms: [], perSecond: [], cpuPerRequest: [], cpuPerToken: [] };
}

/** In each round straight and through the queen, one after the other: a pair has met the same machine. */
async function openStreamRows({ direct, queen }: Targets, extent: Extent): Promise<readonly Row[]> {
  const { count, tokens, rounds } = extent.open;
  const load = { connections: count, requests: count, tokens, intervalMs: OPEN_TOKEN_MS, timeTokens: true, rampMs: 1_000 };
  const delayMs = async (target: Target): Promise<number> => percentile((await runLoad(target, load)).tokenDelaysMs, 0.99);
  const straight: number[] = [];
  const through: number[] = [];
  const most: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    straight.push(await delayMs(direct));
    const { value, mostBytes } = await withMemoryOf(queen, () => delayMs(queen));
    through.push(value);
    most.push(mostBytes);
  }
  const late = through.map((ms, round) => ms - (straight[round] ?? Number.NaN));
  const samples = rounds * count * tokens;
  const what = `${count} open streams, ${1_000 / OPEN_TOKEN_MS} tokens a second each`;
  return [
    {
      id: "open_direct",
      what: `${what}: a token under way, direct, p99`,
      value: median(straight),
      unit: "ms",
      atMost: null,
      samples,
    },
    { id: "open_queen", what: "the same through the queen", value: median(through), unit: "ms", atMost: null, samples },
    { id: "open_late", what: "later than direct", value: median(late), unit: "ms", atMost: 50, samples },
    {
      id: "open_memory",
      what: "resident memory of the queen meanwhile",
      value: Math.max(...most) / 1e6,
      unit: "MB",
      atMost: 400,
      samples: rounds,
    },
  ];
}

/** The most resident memory of a target while something goes on. */
async function withMemoryOf<T>(
  { pid }: Target,
  work: () => Promise<T>,
): Promise<{ readonly value: T; readonly mostBytes: number }> {
  let mostBytes = 0;
  const watch = setInterval(() => {
    mostBytes = Math.max(mostBytes, residentBytes(pid ?? 0));
  }, 200);
  const value = await work().finally(() => clearInterval(watch));
  return { value, mostBytes };
}

/** Heap and descriptors of the queen once nothing is open, before and after many requests. */
async function leakRows({ queen, testQueen }: Targets, extent: Extent): Promise<readonly Row[]> {
  const load = (count: number) => runLoad(queen, { connections: CONNECTIONS, requests: count, tokens: 1, intervalMs: 0 });
  await load(Math.min(20_000, extent.leakRequests));
  const rest = async () => ({ heap: await leastHeapBytes(testQueen), open: descriptors(queen.pid ?? 0) });
  const before = await rest();
  await load(extent.leakRequests);
  const after = await rest();
  const samples = extent.leakRequests;
  return [
    {
      id: "leak_open",
      what: `descriptors more after ${samples} requests`,
      value: after.open - before.open,
      unit: "descriptors",
      atMost: 0,
      samples,
    },
    { id: "leak_heap", what: "heap more after them", value: (after.heap - before.heap) / 1e6, unit: "MB", atMost: 8, samples },
  ];
}

/** The least of several looks, each right behind a collection of everything. */
async function leastHeapBytes(queen: TestQueen): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let look = 0; look < LOOKS; look += 1) {
    await collectGarbage(queen);
    const text = await (await fetch(`${queen.url}/metrics`)).text();
    least = Math.min(least, Number(/^nodejs_heap_size_used_bytes (\S+)/m.exec(text)?.[1]));
    await sleep(LOOK_MS);
  }
  return least;
}

async function affinityRows(quick: boolean): Promise<readonly Row[]> {
  const { queen, roundRobin, requests: samples } = await measureAffinity(quick);
  return [
    {
      id: "affinity",
      what: "prompt tokens computed by 4 embedded workers, queen : round robin",
      value: queen / roundRobin,
      unit: "times",
      atMost: 0.5,
      samples,
    },
  ];
}
