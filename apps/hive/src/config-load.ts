import { homedir } from "node:os";
import { dirname, resolve } from "node:path";
import { loadConfig, resolveSecrets } from "@queen-and-hive/daemon";
import { HIVE_CONFIG_DEFAULTS, type HiveConfigInput, hiveConfigSchema } from "@queen-and-hive/protocol";
import { absolutePath, type HiveSettings, type PathBase, programPath, resolveHiveSettings } from "./config.ts";
import type { Environment } from "./config-environment.ts";

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
