import {
  parseDurationMs,
  parseSizeBytes,
  QUEEN_CONFIG_DEFAULTS,
  type QueenConfigInput,
  type RestartPolicySpec,
  type WorkerSpec,
} from "@queen-and-hive/protocol";
import { type ResolvedRuntime, resolveRuntime } from "../runtimes/resolve-runtime.ts";
import type { ModelSettings, RestartSettings } from "./settings.ts";

type ModelInput = NonNullable<QueenConfigInput["models"]>[number];

/** What a model's settings depend on beside its own entry. */
export interface ModelPlace {
  readonly restart: RestartSettings;
  /** How many hives the configuration has, for `per_hive`. */
  readonly hives: number;
  /** Unix seconds for OpenAI's `created`. */
  readonly createdS: number;
}

/** One model of the configuration, merged over `defaults.model`, its runtime resolved into the spec that hives get. */
export function resolveModel(config: QueenConfigInput, input: ModelInput, place: ModelPlace): ModelSettings {
  const byDefault = { ...QUEEN_CONFIG_DEFAULTS.defaults.model, ...config.defaults?.model };
  const model = { ...byDefault, ...input };
  const workers = { ...config.defaults?.model?.workers, ...input.workers };
  const perHive = workers.per_hive ?? null;
  const workersMin = perHive === null ? (workers.min ?? QUEEN_CONFIG_DEFAULTS.defaults.model.workers.min) : perHive * place.hives;
  const workersMax = perHive === null ? (workers.max ?? Math.max(1, workersMin)) : Math.max(1, workersMin);
  const placeRule = { ...config.defaults?.model?.place, ...input.place };
  const runtime = runtimeOf(config, model.runtime ?? "embedded");
  return {
    id: model.id,
    aliases: model.aliases ?? [],
    task: model.task ?? null,
    workersMin,
    workersMax,
    perHive,
    pin: model.pin ?? false,
    idleStopMs: parseDurationMs(model.idle_stop),
    place: { hives: placeRule.hives ?? null, labels: placeRule.labels ?? {} },
    slots: model.slots,
    routes: runtime.routes,
    spec: resolveSpec(config, input, runtime, place.restart),
    created: place.createdS,
  };
}

function resolveSpec(
  config: QueenConfigInput,
  input: ModelInput,
  runtime: ResolvedRuntime,
  restart: RestartSettings,
): WorkerSpec {
  const model = { ...QUEEN_CONFIG_DEFAULTS.defaults.model, ...config.defaults?.model, ...input };
  const start = { ...QUEEN_CONFIG_DEFAULTS.defaults.model.start, ...config.defaults?.model?.start, ...input.start };
  const { devices = runtime.devices, memory = "auto" } = { ...config.defaults?.model?.place, ...input.place };
  return {
    model: {
      id: model.id,
      ...(model.path === undefined ? {} : { path: model.path }),
      ...(model.source === undefined ? {} : { source: model.source }),
      ...(model.files === undefined ? {} : { files: model.files }),
    },
    runtime: runtime.recipe,
    args: [...runtime.args, ...(model.args ?? [])],
    env: { ...runtime.env, ...config.defaults?.model?.env, ...input.env },
    devices: [],
    slots: model.slots,
    start: { silence_s: seconds(start.silence), total_s: seconds(start.total), warmup: start.warmup },
    restart: restartPolicy(restart),
    labels: {},
    needs: { devices, memory_bytes: memory === "auto" ? "auto" : parseSizeBytes(memory) },
  };
}

/** The checks have found it already; a runtime that is not known here is a bug. */
function runtimeOf(config: QueenConfigInput, name: string): ResolvedRuntime {
  const runtime = resolveRuntime(config.runtimes ?? {}, name);
  if ("kind" in runtime) throw new Error(`the runtime ${name} cannot be resolved: ${runtime.kind} ${runtime.name}`);
  return runtime;
}

function restartPolicy(restart: RestartSettings): RestartPolicySpec {
  return {
    first_s: finiteSeconds(restart.firstMs),
    factor: restart.factor,
    max_s: finiteSeconds(restart.maxMs),
    jitter: restart.jitter,
    breaker: {
      restarts: restart.breakerRestarts,
      window_s: finiteSeconds(restart.breakerWindowMs),
      unready_in_a_row: restart.unreadyInARow,
    },
    retry_open_every_s: orNull(restart.retryOpenEveryMs / 1_000),
  };
}

/** Messages carry numbers: what people write as `off` becomes a year where the contract knows no null. */
function finiteSeconds(ms: number): number {
  return Math.min(ms / 1_000, 365 * 86_400);
}

/** A duration in seconds as messages carry it: null is `off`. */
function seconds(duration: string): number | null {
  return orNull(parseDurationMs(duration) / 1_000);
}

function orNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
