import { performance } from "node:perf_hooks";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** Values of a metric's labels. */
export type LabelValues<Label extends string> = Partial<Record<Label, string | number>>;

/** A number that only grows. */
export interface CounterMetric<Label extends string> {
  inc(value?: number): void;
  inc(labels: LabelValues<Label>, value?: number): void;
  remove(labels: LabelValues<Label>): void;
  reset(): void;
}

/** A number that goes up and down. */
export interface GaugeMetric<Label extends string> {
  set(value: number): void;
  set(labels: LabelValues<Label>, value: number): void;
  inc(value?: number): void;
  inc(labels: LabelValues<Label>, value?: number): void;
  dec(value?: number): void;
  dec(labels: LabelValues<Label>, value?: number): void;
  remove(labels: LabelValues<Label>): void;
  reset(): void;
}

/** A distribution in buckets. */
export interface HistogramMetric<Label extends string> {
  observe(value: number): void;
  observe(labels: LabelValues<Label>, value: number): void;
  remove(labels: LabelValues<Label>): void;
  reset(): void;
}

/** The metrics of one daemon, in a registry of its own: two daemons in one process do not meet. */
export interface Metrics {
  /** Asking again for a name gives the same metric. */
  counter<Label extends string = never>(name: string, help: string, labels?: readonly Label[]): CounterMetric<Label>;
  /** `collect` is called at each scrape, for what is cheaper to look up than to keep. */
  gauge<Label extends string = never>(
    name: string,
    help: string,
    labels?: readonly Label[],
    collect?: (gauge: GaugeMetric<Label>) => void | Promise<void>,
  ): GaugeMetric<Label>;
  /** Buckets are upper bounds in the metric's base unit. */
  histogram<Label extends string = never>(
    name: string,
    help: string,
    labels?: readonly Label[],
    buckets?: readonly number[],
  ): HistogramMetric<Label>;
  /**
   * For what is told with every request: entries wait and go to `feed` by many, where feeding one costs a fraction of what it
   * costs alone, and always ahead of a scrape, so that none is missing in it. Gives the function that adds an entry. What
   * `feed` throws comes out there or in the scrape, and takes the entries of its call with it.
   */
  gathered<Entry>(feed: (entries: readonly Entry[]) => void): (entry: Entry) => void;
  /** All metrics as Prometheus text. */
  render(): Promise<string>;
  /** The Content-Type of `render`. */
  readonly contentType: string;
  /** Adds CPU, memory, descriptors, event loop and garbage collection of this process. */
  observeDefaultProcessMetrics(): void;
}

/** Buckets from 1 ms to 10 min in seconds, for durations of which nothing is known. */
export const DURATION_BUCKETS_S: readonly number[] = [
  0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600,
];

/** Entries that wait at most: enough to be cheap, few enough that nobody waits for their feeding (a quarter of a millisecond). */
const GATHERED_MAX = 64;

/** Makes an empty set of metrics. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const known = new Map<string, unknown>();
  const feeders: (() => void)[] = [];
  const once = <Kind>(name: string, is: (metric: unknown) => metric is Kind, make: () => Kind): Kind => {
    const existing = known.get(name);
    if (existing !== undefined) {
      if (is(existing)) return existing;
      throw new Error(`cannot make the metric ${name}: the name is taken by another kind`);
    }
    const metric = make();
    known.set(name, metric);
    return metric;
  };
  return {
    counter: <Label extends string>(name: string, help: string, labels: readonly Label[] = []) =>
      once<Counter<Label>>(
        name,
        (metric) => metric instanceof Counter,
        () => new Counter({ name, help, labelNames: labels, registers: [registry] }),
      ),
    gauge: <Label extends string>(
      name: string,
      help: string,
      labels: readonly Label[] = [],
      collect?: (gauge: GaugeMetric<Label>) => void | Promise<void>,
    ) =>
      once<Gauge<Label>>(
        name,
        (metric) => metric instanceof Gauge,
        () =>
          new Gauge<Label>({
            name,
            help,
            labelNames: labels,
            registers: [registry],
            ...(collect === undefined
              ? {}
              : {
                  collect() {
                    return collect(this);
                  },
                }),
          }),
      ),
    histogram: <Label extends string>(
      name: string,
      help: string,
      labels: readonly Label[] = [],
      buckets: readonly number[] = DURATION_BUCKETS_S,
    ) =>
      once<Histogram<Label>>(
        name,
        (metric) => metric instanceof Histogram,
        () => new Histogram({ name, help, labelNames: labels, buckets: [...buckets], registers: [registry] }),
      ),
    gathered: <Entry>(feed: (entries: readonly Entry[]) => void) => {
      let waiting: Entry[] = [];
      const feedAll = (): void => {
        const entries = waiting;
        waiting = [];
        feed(entries);
      };
      feeders.push(feedAll);
      return (entry: Entry) => {
        if (waiting.push(entry) >= GATHERED_MAX) feedAll();
      };
    },
    render: async () => {
      for (const feedAll of feeders) feedAll();
      return await registry.metrics();
    },
    contentType: registry.contentType,
    observeDefaultProcessMetrics: () => observeProcess(registry),
  };
}

/**
 * prom-client's distribution of the event loop's lag rests on a timer that fires every 10 ms as long as the process lives,
 * half of what an idle daemon uses. So it is turned off and left out: the lag at each scrape stays, and how busy the loop is
 * comes from Node's own account.
 */
function observeProcess(registry: Registry): void {
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: NEVER_MS });
  for (const part of ["min", "max", "mean", "stddev", "p50", "p90", "p99"]) {
    registry.removeSingleMetric(`nodejs_eventloop_lag_${part}_seconds`);
  }
  new Counter({
    name: "nodejs_eventloop_active_seconds_total",
    help: "Time in which the event loop did not wait for events.",
    registers: [registry],
    collect() {
      this.reset();
      this.inc(performance.eventLoopUtilization().active / 1_000);
    },
  });
}

/** The longest time between two looks that a timer takes, 24 days. */
const NEVER_MS = 2 ** 31 - 1;
