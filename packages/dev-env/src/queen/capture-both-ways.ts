import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { captureRequests, type RequestCapture } from "../net/capture-requests.ts";
import { freePort } from "../net/free-port.ts";
import { REPOSITORY } from "../processes/surroundings.ts";
import type { TestQueen } from "./test-queen.ts";

/** The proxies between a queen and her hive. What goes to workers does not pass them: a fake worker counts that itself. */
export interface QueenHiveCaptures extends AsyncDisposable {
  /** What the queen sends to the hive. */
  readonly toHive: RequestCapture;
  /** What the hive sends to the queen. */
  readonly toQueen: RequestCapture;
}

/**
 * Puts them in place, before the queen starts, by giving her a hive program that tells each side the other's proxy as its
 * address. For a queen with one hive, made with `ownHiveProgram: true`.
 */
export async function captureBothWays(queen: TestQueen): Promise<QueenHiveCaptures> {
  const hiveUrl = `http://${queen.config.hives?.[0]?.listen ?? ""}`;
  const toHivePort = await freePort();
  const toHiveUrl = `http://127.0.0.1:${toHivePort}`;
  const toQueen = await captureRequests(queen.url, { rewrite: { from: hiveUrl, to: toHiveUrl } });
  const toHive = await captureRequests(hiveUrl, { port: toHivePort, rewrite: { from: queen.url, to: toQueen.url } });
  await writeHiveProgram(queen.folder, [queen.url, toQueen.url, hiveUrl, toHiveUrl]);
  return {
    toHive,
    toQueen,
    [Symbol.asyncDispose]: async () => {
      await toHive[Symbol.asyncDispose]();
      await toQueen[Symbol.asyncDispose]();
    },
  };
}

async function writeHiveProgram(folder: string, addresses: readonly string[]): Promise<void> {
  const main = join(REPOSITORY, "packages", "dev-env", "src", "hive-wrapper", "main.ts");
  const words = [process.execPath, main, ...addresses].map((word) => `'${word}'`).join(" ");
  await mkdir(join(folder, "program", "current"), { recursive: true });
  await writeFile(join(folder, "program", "current", "hive"), `#!/bin/sh\nexec ${words} "$@"\n`, { mode: 0o755 });
}
