import { readFileSync } from "node:fs";
import { homedir, hostname } from "node:os";
import { dirname, join, resolve } from "node:path";
import { loadConfig, resolveSecrets } from "@queen-and-hive/daemon";
import { HIVE_CONFIG_DEFAULTS, type HiveConfigInput, hiveConfigSchema } from "@queen-and-hive/protocol";
import { absolutePath, type HiveSettings, type PathBase, programPath, resolveHiveSettings } from "./config.ts";
import type { Environment } from "./config-environment.ts";

/** What the command line says about the place of things. */
export interface PlaceFlags {
  readonly config?: string | undefined;
  readonly stateDir?: string | undefined;
}

/** What one file says, checked, with nothing filled in and paths made absolute. Throws `invalid_config`. */
export function readConfigAlone(file: string): HiveConfigInput {
  const path = resolve(file);
  const { value } = loadConfig<HiveConfigInput>({
    schema: hiveConfigSchema,
    file: path,
    envPrefix: "HIVE_",
    env: {},
    flags: {},
    defaults: {},
  });
  return withAbsolutePaths(value, { homeDir: homedir(), baseDir: dirname(path) });
}

/**
 * The state directory: flag > `HIVE_STATE_DIR` > `state_dir` of the configuration >
 * `~/.local/state/hive/<machine-id>-<hive_id>` (home directories may be shared between machines).
 */
export function locateStateDir(flags: PlaceFlags, config: HiveConfigInput, env: Environment): string {
  const base: PathBase = { homeDir: homedir(), baseDir: process.cwd() };
  const named = flags.stateDir ?? env["HIVE_STATE_DIR"] ?? config.state_dir;
  if (named !== undefined && named !== "") return absolutePath(named, base);
  const hiveId = env["HIVE_HIVE_ID"] ?? config.hive_id ?? HIVE_CONFIG_DEFAULTS.hive_id;
  return join(base.homeDir, ".local", "state", "hive", `${machineId()}-${hiveId}`);
}

/** The whole configuration, ready for work: flags > environment > file > defaults, secrets filled in. Throws `invalid_config`. */
export function loadHiveSettings(
  file: string | null,
  env: Environment,
): { readonly settings: HiveSettings; readonly warnings: readonly string[] } {
  const loaded = loadConfig<HiveConfigInput>({
    schema: hiveConfigSchema,
    file,
    envPrefix: "HIVE_",
    env,
    flags: {},
    defaults: HIVE_CONFIG_DEFAULTS,
  });
  const base: PathBase = { homeDir: homedir(), baseDir: file === null ? process.cwd() : dirname(resolve(file)) };
  const value = resolveSecrets(loaded.value, { ...base, env });
  return { settings: resolveHiveSettings(value, base), warnings: loaded.warnings };
}

function withAbsolutePaths(config: HiveConfigInput, base: PathBase): HiveConfigInput {
  const { models_dir, model_roots, state_dir, runtimes, env } = config;
  return {
    ...config,
    ...(state_dir === undefined ? {} : { state_dir: absolutePath(state_dir, base) }),
    ...(models_dir === undefined ? {} : { models_dir: absolutePath(models_dir, base) }),
    ...(model_roots === undefined ? {} : { model_roots: model_roots.map((root) => absolutePath(root, base)) }),
    ...(runtimes === undefined
      ? {}
      : { runtimes: mapEntries(runtimes, ({ bin }) => (bin === undefined ? {} : { bin: programPath(bin, base) })) }),
    ...(env === undefined ? {} : { env: mapEntries(env, (text) => withAbsoluteReferences(text, base)) }),
  };
}

function withAbsoluteReferences(text: string, base: PathBase): string {
  return text.replace(/\$\{file:([^}]+)\}/g, (_, path: string) => `\${file:${absolutePath(path, base)}}`);
}

function mapEntries<From, To>(record: Readonly<Record<string, From>>, map: (value: From) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}

/** machine-id(5); a machine without one is known by its name. */
function machineId(): string {
  for (const path of ["/etc/machine-id", "/var/lib/dbus/machine-id"]) {
    try {
      const id = readFileSync(path, "utf8").trim();
      if (id !== "") return id;
    } catch {
      // Not every machine has both.
    }
  }
  return hostname();
}
