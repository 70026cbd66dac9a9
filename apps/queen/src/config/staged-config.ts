import { chmodSync, existsSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { writeFileDurable } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import { type ConfigSurroundings, findConfigFile, loadSettings } from "./load.ts";
import type { QueenSettings } from "./settings.ts";

/** A changed configuration file, checked as a whole and not in its place yet. */
export interface StagedConfig {
  readonly file: string;
  /** What the queen would make of it. */
  readonly settings: QueenSettings;
  /** Puts it in its place. Throws `invalid_config` when somebody else has changed the file meanwhile, `storage_failed`. */
  commit(): Promise<void>;
}

/** The configuration file that commands change. Throws `invalid_config` when there is none. */
export function requireConfigFile(flag: string | undefined, around: ConfigSurroundings): string {
  const file = findConfigFile(flag, around);
  if (file !== null && existsSync(file)) return realpathSync(file);
  const wanted = file ?? join(around.home, ".config/queen/queen.yaml");
  throw new QhError(
    "invalid_config",
    `cannot change the configuration: there is no file; make one ("touch ${wanted}"), or name one with --config`,
  );
}

/**
 * Changes the text of a configuration file and checks the outcome as `queen serve` would, beside its place, so that no queen
 * ever reads one that is wrong. Throws `invalid_config`.
 */
export function stageConfig(file: string, change: (text: string) => string, around: ConfigSurroundings): StagedConfig {
  const before = readFileSync(file, "utf8");
  const after = change(before);
  // In the same directory: references to files start there.
  const trial = join(dirname(file), `.${basename(file)}.trial-${process.pid}`);
  try {
    writeFileSync(trial, after, { mode: 0o600 });
    chmodSync(trial, 0o600);
    const settings = loadSettings(trial, around, Date.now());
    return { file, settings: { ...settings, file }, commit: () => put(file, before, after) };
  } catch (error) {
    if (!(error instanceof QhError)) throw error;
    const message = error.message.replaceAll(trial, file);
    throw new QhError(error.kind, `cannot change the configuration, it would be wrong: ${message}`, { cause: error });
  } finally {
    rmSync(trial, { force: true });
  }
}

async function put(file: string, before: string, after: string): Promise<void> {
  if (readFileSync(file, "utf8") !== before) {
    throw new QhError("invalid_config", `cannot change ${file}: somebody has changed it meanwhile; try again`);
  }
  await writeFileDurable(file, after, statSync(file).mode & 0o777);
}
