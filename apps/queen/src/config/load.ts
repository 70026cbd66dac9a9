import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve as resolvePath } from "node:path";
import { expandHome, type LoadedConfig, loadConfig, resolveSecrets } from "@queen-and-hive/daemon";
import { QhError, QUEEN_CONFIG_DEFAULTS, type QueenConfigInput, queenConfigSchema } from "@queen-and-hive/protocol";
import { findConfigProblems } from "./checks.ts";
import { readMachineId } from "./machine-id.ts";
import { resolveSettings } from "./resolve.ts";
import type { QueenSettings } from "./settings.ts";

/** Where configuration is looked for; the surroundings of a process, handed in by `main`. */
export interface ConfigSurroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly workingDirectory: string;
  readonly home: string;
}

/** The real surroundings of this process. */
export function processSurroundings(): ConfigSurroundings {
  return { env: process.env, workingDirectory: process.cwd(), home: homedir() };
}

/**
 * The configuration file to use: `--config`, `QUEEN_CONFIG` (both must exist), `./queen.yaml`,
 * `~/.config/queen/queen.yaml`, or null for the defaults.
 */
export function findConfigFile(flag: string | undefined, { env, workingDirectory, home }: ConfigSurroundings): string | null {
  const named = flag ?? env["QUEEN_CONFIG"];
  if (named !== undefined && named !== "") return resolvePath(workingDirectory, expandHome(named, home));
  const places = [join(workingDirectory, "queen.yaml"), join(home, ".config/queen/queen.yaml")];
  return places.find((place) => existsSync(place)) ?? null;
}

/** Loads and checks the configuration; references to secrets stay as they are written. Throws `invalid_config`. */
export function loadQueenConfig(flag: string | undefined, around: ConfigSurroundings): LoadedConfig<QueenConfigInput> {
  return loadConfig<QueenConfigInput>({
    schema: queenConfigSchema,
    file: findConfigFile(flag, around),
    envPrefix: "QUEEN_",
    env: around.env,
    flags: {},
    defaults: QUEEN_CONFIG_DEFAULTS,
    check: findConfigProblems,
  });
}

/** Everything that `queen serve` needs, secrets resolved. Throws `invalid_config`. */
export function loadSettings(flag: string | undefined, around: ConfigSurroundings, nowMs: number): QueenSettings {
  const loaded = loadQueenConfig(flag, around);
  const baseDir = loaded.file === null ? around.workingDirectory : dirname(loaded.file);
  const config = withHiveReferences(
    resolveSecrets(loaded.value, { homeDir: around.home, env: around.env, baseDir }),
    loaded.value,
  );
  checkSecrets(config);
  const settings = resolveSettings(
    config,
    {
      file: loaded.file,
      home: around.home,
      workingDirectory: around.workingDirectory,
      machineId: readMachineId(),
      sshAgent: around.env["SSH_AUTH_SOCK"] ?? null,
    },
    nowMs,
  );
  return { ...settings, warnings: [...loaded.warnings, ...settings.warnings] };
}

/** The queen's state directory as the configuration names it; for commands that only look for a running queen. */
export function stateDirOf(loaded: LoadedConfig<QueenConfigInput>, around: ConfigSurroundings): string {
  const base = loaded.file === null ? around.workingDirectory : dirname(loaded.file);
  return resolvePath(base, expandHome(loaded.value.state_dir ?? QUEEN_CONFIG_DEFAULTS.state_dir, around.home));
}

/** A hive resolves the references of its own environment itself, so that no secret of it is kept in its configuration. */
function withHiveReferences(resolved: QueenConfigInput, written: QueenConfigInput): QueenConfigInput {
  const hive = written.defaults?.hive;
  return {
    ...resolved,
    ...(written.hives === undefined ? {} : { hives: written.hives }),
    ...(resolved.defaults === undefined ? {} : { defaults: { ...resolved.defaults, ...(hive === undefined ? {} : { hive }) } }),
  };
}

/** The shortest key that is taken, after references have been resolved. */
const KEY_LENGTH_MIN = 8;

function checkSecrets(config: QueenConfigInput): void {
  for (const [index, { key, name }] of (config.keys ?? []).entries()) {
    if (key.length >= KEY_LENGTH_MIN && !/\s/.test(key)) continue;
    throw new QhError(
      "invalid_config",
      `cannot use the key ${JSON.stringify(name)} at keys[${index}].key: expected at least ${KEY_LENGTH_MIN} characters without spaces`,
      { param: `keys[${index}].key` },
    );
  }
}
