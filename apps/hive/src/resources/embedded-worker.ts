import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { isSea } from "node:sea";
import { fileURLToPath } from "node:url";
import type { EmbeddedLauncher } from "../workers/supervisor-options.ts";

/** How this program runs: as the single executable, or from a checkout. */
export interface ProgramForm {
  readonly execPath: string;
  readonly arch: string;
  /** `apps/worker/src/main.ts` of the checkout; null in the single executable. */
  readonly workerSource: string | null;
}

/** The form of this very process. */
export function ownForm(): ProgramForm {
  return {
    execPath: process.execPath,
    arch: process.arch,
    workerSource: isSea() ? null : fileURLToPath(new URL("../../../worker/src/main.ts", import.meta.url)),
  };
}

/** How to launch the embedded worker here, or a sentence that says what is missing. Looked up at each launch: it may be unpacked later. */
export function embeddedWorker(form: ProgramForm): EmbeddedLauncher | { readonly unavailable: string } {
  if (form.workerSource !== null) {
    return existsSync(form.workerSource)
      ? { command: [form.execPath, form.workerSource] }
      : { unavailable: `the embedded worker is not in this checkout: there is no ${form.workerSource}` };
  }
  const directory = dirname(form.execPath);
  const bundle = join(directory, "hive-worker", "main.mjs");
  return existsSync(bundle)
    ? { command: [form.execPath, "worker-main", bundle] }
    : {
        unavailable: `the embedded worker is not installed: there is no ${bundle}; unpack hive-worker-linux-${form.arch}.tar.gz in ${directory}`,
      };
}
