import { callingHive } from "./calling-hive.ts";
import type { QueenHandler, QueenView } from "./queen-view.ts";

/** `POST /v2/hives/ready`: a hive daemon has started and listens. */
export function postHiveReady(queen: QueenView): QueenHandler<"postHiveReady"> {
  return async ({ identity, body }) => ({ body: queen.hiveReady(callingHive(identity), body) });
}
