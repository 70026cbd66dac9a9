import { pathToFileURL } from "node:url";

/** `hive worker-main PATH`: this executable's Node runs the embedded worker, which lies beside it as files. */
export async function workerMain(path: string): Promise<void> {
  await import(pathToFileURL(path).href);
}
