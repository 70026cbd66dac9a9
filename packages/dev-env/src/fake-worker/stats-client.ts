import type { FakeWorkerStats } from "./statistics.ts";

const TIMEOUT_MS = 5_000;

/** `GET /stats` of the fake worker at this address. */
export async function fakeWorkerStats(url: string): Promise<FakeWorkerStats> {
  const response = await fetch(`${url}/stats`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  const stats: unknown = await response.json();
  return parseStats(stats);
}

function parseStats(value: unknown): FakeWorkerStats {
  if (typeof value !== "object" || value === null || !("open_now" in value)) {
    throw new Error(`cannot read the statistics of a fake worker: ${JSON.stringify(value)}`);
  }
  return value as FakeWorkerStats;
}
