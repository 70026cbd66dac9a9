/** A metric of a queen, by its name and, as she prints them, its labels; null when she does not have it. */
export async function metricOf(url: string, name: string): Promise<number | null> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${name} `));
  return line === undefined ? null : Number(line.slice(name.length + 1));
}

/** How workers have become known as ready to a queen: by their hives' callbacks, or only because she asked for them. */
export interface ReadyCounts {
  readonly callbacks: number;
  readonly polls: number;
}

/** Counts the ways in which a queen has learnt of readiness. */
export async function readyCounts(url: string): Promise<ReadyCounts> {
  return {
    callbacks: (await metricOf(url, 'queen_callbacks_total{message="ready",outcome="applied"}')) ?? 0,
    polls: (await metricOf(url, "queen_ready_fallback_polls_total")) ?? Number.NaN,
  };
}
