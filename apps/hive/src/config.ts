import { isAbsolute, join } from "node:path";
import { expandHome } from "@queen-and-hive/daemon/basics";
import { HIVE_CONFIG_DEFAULTS, type HiveConfigInput, parseDurationMs, parseSizeBytes, QhError } from "@queen-and-hive/protocol";

/** The hive's configuration as it works with it: numbers instead of texts, absolute paths, everything filled in. */
export interface HiveSettings {
  readonly hiveId: string;
  readonly listen: { readonly host: string; readonly port: number };
  readonly workerPorts: { readonly first: number; readonly last: number };
  readonly portsPerWorker: number;
  readonly workerHost: string;
  readonly modelsDir: string | null;
  readonly modelRoots: readonly string[] | null;
  readonly env: Readonly<Record<string, string>>;
  readonly runtimes: Readonly<Record<string, { readonly bin?: string }>>;
  /** The devices that workers may have, null for all, and what stays free on each. */
  readonly devices: { readonly use: readonly string[] | null; readonly keepFreeBytes: number };
  readonly log: {
    readonly level: "debug" | "info" | "warn" | "error";
    readonly format: "auto" | "json" | "pretty";
    readonly maxBytes: number;
    readonly keep: number;
  };
  readonly beatMs: number;
  readonly sampleEveryMs: number;
  readonly stop: { readonly termMs: number; readonly verifyMs: number };
  readonly shutdown: { readonly budgetMs: number };
  readonly callback: {
    readonly timeoutMs: number;
    readonly firstMs: number;
    readonly maxMs: number;
    readonly outboxEntries: number;
  };
  readonly limits: {
    readonly bodyBytes: number;
    readonly workers: number;
    readonly slotsPerWorker: number;
    readonly workerLogBytes: number;
    readonly workerLogsKept: number;
    readonly workerStartsKept: number;
    readonly logTailLines: number;
  };
  readonly health: {
    readonly everyMs: number;
    readonly timeoutMs: number;
    readonly hungAfterMs: number;
    readonly replaceAfterMs: number;
  };
  readonly readyProbe: { readonly firstMs: number; readonly maxMs: number };
}

/** Where the paths of a configuration start. */
export interface PathBase {
  /** What `~` stands for. */
  readonly homeDir: string;
  /** Where relative paths start: the directory of the configuration file. */
  readonly baseDir: string;
}

/** Fills a configuration in and turns its texts into numbers. Throws `invalid_config`. */
export function resolveHiveSettings(input: HiveConfigInput, base: PathBase): HiveSettings {
  const defaults = HIVE_CONFIG_DEFAULTS;
  const log = { ...defaults.log, ...input.log };
  const stop = { ...defaults.stop, ...input.stop };
  const shutdown = { ...defaults.shutdown, ...input.shutdown };
  const callback = { ...defaults.callback, ...input.callback };
  const limits = { ...defaults.limits, ...input.limits };
  const health = { ...defaults.health, ...input.health };
  const devices = { ...defaults.devices, ...input.devices };
  const readyProbe = { ...defaults.ready_probe, ...input.ready_probe };
  return {
    hiveId: input.hive_id ?? defaults.hive_id,
    listen: parseListen(input.listen ?? defaults.listen),
    workerPorts: parsePortRange(input.worker_ports ?? defaults.worker_ports),
    portsPerWorker: input.ports_per_worker ?? defaults.ports_per_worker,
    workerHost: input.worker_host ?? defaults.worker_host,
    modelsDir: input.models_dir === undefined ? null : absolutePath(input.models_dir, base),
    modelRoots: input.model_roots?.map((root) => absolutePath(root, base)) ?? null,
    env: input.env ?? {},
    runtimes: mapValues(input.runtimes ?? {}, ({ bin }) => (bin === undefined ? {} : { bin: programPath(bin, base) })),
    devices: { use: devices.use ?? null, keepFreeBytes: parseSizeBytes(devices.keep_free) },
    log: { level: log.level, format: log.format, maxBytes: parseSizeBytes(log.max_size), keep: log.keep },
    beatMs: parseDurationMs(input.beat ?? defaults.beat),
    sampleEveryMs: parseDurationMs(input.sample_every ?? defaults.sample_every),
    stop: { termMs: parseDurationMs(stop.term), verifyMs: parseDurationMs(stop.verify) },
    shutdown: { budgetMs: parseDurationMs(shutdown.budget) },
    callback: {
      timeoutMs: parseDurationMs(callback.timeout),
      firstMs: parseDurationMs(callback.first),
      maxMs: parseDurationMs(callback.max),
      outboxEntries: callback.outbox_entries,
    },
    limits: {
      bodyBytes: parseSizeBytes(limits.body),
      workers: limits.workers,
      slotsPerWorker: limits.slots_per_worker,
      workerLogBytes: parseSizeBytes(limits.worker_log),
      workerLogsKept: limits.worker_logs_kept,
      workerStartsKept: limits.worker_starts_kept,
      logTailLines: limits.log_tail_lines,
    },
    health: {
      everyMs: parseDurationMs(health.interval),
      timeoutMs: parseDurationMs(health.timeout),
      hungAfterMs: parseDurationMs(health.hung_after),
      replaceAfterMs: parseDurationMs(health.replace_after),
    },
    readyProbe: { firstMs: parseDurationMs(readyProbe.first), maxMs: parseDurationMs(readyProbe.max) },
  };
}

/** A path of the configuration, absolute: `~` is the home directory, the rest starts at the configuration file. */
export function absolutePath(path: string, { homeDir, baseDir }: PathBase): string {
  const expanded = expandHome(path, homeDir);
  return isAbsolute(expanded) ? expanded : join(baseDir, expanded);
}

/** A program of the configuration: a bare name is looked up on PATH, everything else is a path. */
export function programPath(bin: string, base: PathBase): string {
  return bin.includes("/") ? absolutePath(bin, base) : bin;
}

function parseListen(text: string): { readonly host: string; readonly port: number } {
  const colon = text.lastIndexOf(":");
  const port = Number(text.slice(colon + 1));
  if (port > PORT_MAX)
    throw new QhError("invalid_config", `cannot listen on ${text}: a port is at most ${PORT_MAX}`, { param: "listen" });
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ""), port };
}

function parsePortRange(text: string): { readonly first: number; readonly last: number } {
  const [first = 0, last = 0] = text.split("-").map(Number);
  if (first < 1 || last < first || last > PORT_MAX) {
    throw new QhError("invalid_config", `cannot use the worker ports ${text}: write first-last, such as 17900-17999`, {
      param: "worker_ports",
    });
  }
  return { first, last };
}

const PORT_MAX = 65_535;

function mapValues<From, To>(record: Readonly<Record<string, From>>, map: (value: From) => To): Readonly<Record<string, To>> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}
