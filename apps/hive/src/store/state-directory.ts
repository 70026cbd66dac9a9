import { ensurePrivateDir, isNetworkFileSystem } from "@queen-and-hive/daemon/basics";
import { QhError } from "@queen-and-hive/protocol";
import { type StatePaths, statePaths } from "./state-paths.ts";

/** Makes a state directory that only its user can enter. Throws `invalid_config` for a network file system, `storage_failed`. */
export async function openStateDirectory(dir: string): Promise<StatePaths> {
  const network = isNetworkFileSystem(dir);
  if (network !== null) {
    throw new QhError(
      "invalid_config",
      `cannot keep state in ${dir}: it is on a network file system (${network}), where locks and fsync cannot be relied on; choose a local directory with --state-dir`,
      { param: "state_dir", details: { file_system: network } },
    );
  }
  const paths = statePaths(dir);
  await ensurePrivateDir(paths.dir);
  await ensurePrivateDir(paths.logsDir);
  return paths;
}
