import { join, resolve as resolvePath } from "node:path";
import { expandHome } from "@queen-and-hive/daemon";
import {
  HIVE_CONFIG_DEFAULTS,
  type HiveConfigInput,
  QUEEN_CONFIG_DEFAULTS,
  type QueenConfigInput,
} from "@queen-and-hive/protocol";
import type { HiveSettings } from "./settings.ts";

type HiveInput = NonNullable<QueenConfigInput["hives"]>[number];

/** What a hive's settings depend on beside the configuration. */
export interface HivePlace {
  /** Directory that relative paths of a local hive start from. */
  readonly base: string;
  readonly home: string;
  readonly machineId: string;
  /** Position among the local hives: only the first gets the default port. */
  readonly index: number;
}

/**
 * One local hive of the configuration, merged over `defaults.hive`. `models_dir` defaults to the directory of the
 * configuration file. Hives after the first listen on any free port unless told.
 */
export function resolveHive(config: QueenConfigInput, input: HiveInput, place: HivePlace): HiveSettings {
  const hive = { ...QUEEN_CONFIG_DEFAULTS.defaults.hive, ...config.defaults?.hive, ...input };
  const absolute = (path: string): string => resolvePath(place.base, expandHome(path, place.home));
  const stateDir =
    hive.state_dir === undefined
      ? join(place.home, ".local/state/hive", `${place.machineId}-${hive.id}`)
      : absolute(hive.state_dir);
  const labels = { ...config.defaults?.hive?.labels, ...input.labels };
  const env = Object.fromEntries(
    Object.entries({ ...config.defaults?.hive?.env, ...input.env }).map(([name, text]) => [
      name,
      withAbsoluteReferences(text, absolute),
    ]),
  );
  const runtimes = { ...config.defaults?.hive?.runtimes, ...input.runtimes };
  const forHive: HiveConfigInput = {
    hive_id: hive.id,
    listen: hive.listen ?? (place.index === 0 ? HIVE_CONFIG_DEFAULTS.listen : "127.0.0.1:0"),
    state_dir: stateDir,
    models_dir: hive.models_dir === undefined ? place.base : absolute(hive.models_dir),
    env,
    runtimes,
    labels,
    beat: config.health?.beat ?? QUEEN_CONFIG_DEFAULTS.health.beat,
    health: { ...QUEEN_CONFIG_DEFAULTS.health.workers, ...config.health?.workers },
    stop: { ...QUEEN_CONFIG_DEFAULTS.stop, ...config.stop },
    shutdown: { ...QUEEN_CONFIG_DEFAULTS.shutdown, ...config.shutdown },
    ...(hive.worker_ports === undefined ? {} : { worker_ports: hive.worker_ports }),
    ...(hive.ports_per_worker === undefined ? {} : { ports_per_worker: hive.ports_per_worker }),
    ...(hive.worker_host === undefined ? {} : { worker_host: hive.worker_host }),
    ...(hive.model_roots === undefined ? {} : { model_roots: hive.model_roots.map(absolute) }),
    ...(hive.devices === undefined ? {} : { devices: hive.devices }),
  };
  return {
    id: hive.id,
    host: "local",
    onQueenExit: hive.on_queen_exit,
    labels,
    stateDir,
    installDir: hive.install_dir === undefined ? null : absolute(hive.install_dir),
    config: forHive,
  };
}

/** `${file:hf.token}` means a file beside our configuration, wherever the hive's own one is kept. */
function withAbsoluteReferences(text: string, absolute: (path: string) => string): string {
  return text.replace(/\$\{file:([^}]+)\}/g, (_, path: string) => `\${file:${absolute(path)}}`);
}
