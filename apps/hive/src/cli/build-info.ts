import manifest from "../../package.json" with { type: "json" };

// The build of the single executable replaces this name by the commit as a text; a checkout has none built in.
declare const HIVE_BUILD_COMMIT: string;

/** The version of this program. */
export const VERSION: string = manifest.version;

/** What `hive --version` prints: name, version, and the git commit when one was built in. */
export function versionLine(): string {
  const commit = typeof HIVE_BUILD_COMMIT === "undefined" ? null : HIVE_BUILD_COMMIT;
  return commit === null ? `hive ${VERSION}` : `hive ${VERSION} (${commit})`;
}
