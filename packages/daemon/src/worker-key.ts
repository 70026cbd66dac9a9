import { createHmac } from "node:crypto";

/**
 * The key that a worker's callers must bring where others can reach it: made from the token that queen and hive share, so
 * that both have it without ever sending it. Whoever has the key of one worker has neither the token nor another's key.
 */
export function workerKeyOf(hiveToken: string, workerId: string): string {
  return createHmac("sha256", hiveToken).update(`worker-key ${workerId}`).digest("base64url");
}

/** Whether an address that engines listen on can be reached from its own machine only. */
export function isLoopbackAddress(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.[0-9]{1,3}){3}$/.test(host);
}
