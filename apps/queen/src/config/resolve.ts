import { dirname, resolve as resolvePath } from "node:path";
import { expandHome } from "@queen-and-hive/daemon";
import { parseDurationMs, parseSizeBytes, QUEEN_CONFIG_DEFAULTS, type QueenConfigInput } from "@queen-and-hive/protocol";
import { hostOf, resolveHive } from "./resolve-hive.ts";
import { resolveModel } from "./resolve-model.ts";
import { resolveUpstream } from "./resolve-upstream.ts";
import type {
  HealthSettings,
  InstallSettings,
  KeySettings,
  ListenAddress,
  PreflightSettings,
  QueenSettings,
  RestartSettings,
} from "./settings.ts";
import { findUnbuiltKeys } from "./unbuilt.ts";

/** Where a configuration was found, for paths that are relative to it. */
export interface ConfigPlace {
  /** Absolute path of the file; null when only defaults, flags and environment speak. */
  readonly file: string | null;
  readonly home: string;
  readonly workingDirectory: string;
  /** `/etc/machine-id`'s text or a stand-in, part of a hive's default state directory. */
  readonly machineId: string;
  /** The socket of the running ssh agent, if there is one. */
  readonly sshAgent: string | null;
}

/**
 * A checked configuration -> plain settings: durations in milliseconds, sizes in bytes, paths absolute, defaults applied,
 * runtimes resolved into each model's spec. Throws `invalid_config`.
 */
export function resolveSettings(config: QueenConfigInput, place: ConfigPlace, nowMs: number): QueenSettings {
  const base = place.file === null ? place.workingDirectory : dirname(place.file);
  const restart = resolveRestart(config);
  const hives = config.hives ?? QUEEN_CONFIG_DEFAULTS.hives;
  const stop = { ...QUEEN_CONFIG_DEFAULTS.stop, ...config.stop };
  const shutdown = { ...QUEEN_CONFIG_DEFAULTS.shutdown, ...config.shutdown };
  const eviction = { ...QUEEN_CONFIG_DEFAULTS.eviction, ...config.eviction };
  const queue = { ...QUEEN_CONFIG_DEFAULTS.queue, ...config.queue };
  const stream = { ...QUEEN_CONFIG_DEFAULTS.stream, ...config.stream };
  const retry = { ...QUEEN_CONFIG_DEFAULTS.retry, ...config.retry };
  const limits = { ...QUEEN_CONFIG_DEFAULTS.limits, ...config.limits };
  const log = { ...QUEEN_CONFIG_DEFAULTS.log, ...config.log };
  return {
    file: place.file,
    listen: (config.listen ?? QUEEN_CONFIG_DEFAULTS.listen).map(parseListen),
    hiveListen: config.hive_listen === undefined ? null : parseListen(config.hive_listen),
    stateDir: resolvePath(base, expandHome(config.state_dir ?? QUEEN_CONFIG_DEFAULTS.state_dir, place.home)),
    keys: (config.keys ?? []).map(resolveKey),
    hives: hives.map((hive, index) =>
      resolveHive(config, hive, {
        ...place,
        base,
        isFirst: hives.findIndex((other) => hostOf(other) === hostOf(hive)) === index,
      }),
    ),
    models: (config.models ?? [])
      .filter((model) => (model.variants ?? []).length === 0)
      .map((model) => resolveModel(config, model, { restart, hives: hives.length, createdS: Math.floor(nowMs / 1_000) })),
    upstreams: (config.upstreams ?? []).map(resolveUpstream),
    health: resolveHealth(config),
    restart,
    eviction: { minResidentMs: parseDurationMs(eviction.min_resident), turnMs: parseDurationMs(eviction.turn) },
    queue: {
      maxWaiting: queue.max_waiting,
      maxWaitMs: parseDurationMs(queue.max_wait),
      loadWaitMs: parseDurationMs(queue.load_wait),
      sessionsKept: queue.sessions_kept,
    },
    stream: {
      commitAfterMs: parseDurationMs(stream.commit_after),
      connectMs: parseDurationMs(stream.connect),
      firstByteMs: parseDurationMs(stream.first_byte),
      idleMs: parseDurationMs(stream.idle),
      totalMs: parseDurationMs(stream.total),
      keepAliveMs: parseDurationMs(stream.keep_alive),
    },
    retry: { attempts: retry.attempts, waitMs: parseDurationMs(retry.wait) },
    limits: {
      bodyBytes: parseSizeBytes(limits.body),
      bodiesBytes: parseSizeBytes(limits.bodies),
      headersBytes: parseSizeBytes(limits.headers),
      connectionsPerIp: limits.connections_per_ip,
      receiveMs: parseDurationMs(limits.receive),
      wholeAnswerBytes: parseSizeBytes(limits.whole_answer),
      eventBytes: parseSizeBytes(limits.event),
      answersBytes: parseSizeBytes(limits.answers),
    },
    log: { level: log.level, format: log.format, maxBytes: parseSizeBytes(log.max_size), keep: log.keep },
    drainMs: parseDurationMs(config.drain ?? QUEEN_CONFIG_DEFAULTS.drain),
    shutdown: { budgetMs: parseDurationMs(shutdown.budget), drainMs: parseDurationMs(shutdown.drain) },
    stop: { termMs: parseDurationMs(stop.term), verifyMs: parseDurationMs(stop.verify) },
    preflight: resolvePreflight(config),
    install: resolveInstall(config, (path) => resolvePath(base, expandHome(path, place.home))),
    warnings: findUnbuiltKeys(config),
  };
}

/** `host:port` -> its parts; an IPv6 host loses its brackets. */
function parseListen(address: string): ListenAddress {
  const colon = address.lastIndexOf(":");
  return { host: address.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(address.slice(colon + 1)) };
}

function resolveKey(key: NonNullable<QueenConfigInput["keys"]>[number]): KeySettings {
  return { name: key.name, role: key.role, key: key.key, models: key.models ?? null };
}

function resolveHealth(config: QueenConfigInput): HealthSettings {
  const health = { ...QUEEN_CONFIG_DEFAULTS.health, ...config.health };
  const massLoss = { ...QUEEN_CONFIG_DEFAULTS.health.mass_loss, ...config.health?.mass_loss };
  return {
    intervalMs: parseDurationMs(health.interval),
    failures: health.failures,
    timeoutMs: parseDurationMs(health.timeout),
    beatMs: parseDurationMs(health.beat),
    missedBeats: health.missed_beats,
    suspectGraceMs: parseDurationMs(health.suspect_grace),
    retryMs: parseDurationMs(health.retry),
    replaceAfterMs: parseDurationMs(health.replace_after),
    massLoss: {
      hivesMin: massLoss.hives,
      windowMs: parseDurationMs(massLoss.window),
      holdMs: parseDurationMs(massLoss.hold),
    },
    startMs: parseDurationMs(health.start),
  };
}

function resolvePreflight(config: QueenConfigInput): PreflightSettings {
  const preflight = { ...QUEEN_CONFIG_DEFAULTS.preflight, ...config.preflight };
  return {
    deadlineMs: parseDurationMs(preflight.deadline),
    programMs: parseDurationMs(preflight.program),
    clockSkewMs: parseDurationMs(preflight.clock_skew),
    diskFreeBytes: parseSizeBytes(preflight.disk_free),
    memoryFreeBytes: parseSizeBytes(preflight.memory_free),
  };
}

function resolveInstall(config: QueenConfigInput, absolute: (path: string) => string): InstallSettings {
  const install = { ...QUEEN_CONFIG_DEFAULTS.install, ...config.install };
  return {
    from: install.from === undefined ? null : absolute(install.from),
    uploadMs: parseDurationMs(install.upload),
    keep: install.keep,
  };
}

function resolveRestart(config: QueenConfigInput): RestartSettings {
  const restart = { ...QUEEN_CONFIG_DEFAULTS.restart, ...config.restart };
  const breaker = { ...QUEEN_CONFIG_DEFAULTS.restart.breaker, ...config.restart?.breaker };
  return {
    firstMs: parseDurationMs(restart.first),
    factor: restart.factor,
    maxMs: parseDurationMs(restart.max),
    jitter: restart.jitter,
    breakerRestarts: breaker.restarts,
    breakerWindowMs: parseDurationMs(breaker.window),
    unreadyInARow: breaker.unready_in_a_row,
    retryOpenEveryMs: parseDurationMs(restart.retry_open_every),
  };
}
