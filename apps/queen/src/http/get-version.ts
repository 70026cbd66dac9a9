import { PROTOCOL } from "@queen-and-hive/protocol";
import type { QueenHandler, QueenView } from "./queen-view.ts";

/** `GET /version`: name, version and protocol range. */
export function getVersion(queen: QueenView): QueenHandler<"getVersion"> {
  return async () => ({ body: { name: "queen", version: queen.version, protocol: { ...PROTOCOL } } });
}
