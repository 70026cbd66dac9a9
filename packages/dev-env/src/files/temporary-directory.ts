import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder that is removed, with all that is in it, at the end of its scope. */
export interface TemporaryDirectory extends AsyncDisposable {
  readonly path: string;
  /** A path inside, which need not exist. */
  join(...parts: readonly string[]): string;
}

/** A new empty folder with mode 0700. Its path is short enough for Unix sockets inside. */
export async function temporaryDirectory(name = "qh"): Promise<TemporaryDirectory> {
  const path = await mkdtemp(join(tmpdir(), `${name}-`));
  return {
    path,
    join: (...parts) => join(path, ...parts),
    // A dying process may still write its last log line there.
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }),
  };
}
