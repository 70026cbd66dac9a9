import type { QueenHandler, QueenView } from "./queen-view.ts";

/** `GET /v2/hives`: every hive with its state and the process that it was last known by. */
export function listHives(queen: QueenView): QueenHandler<"listHives"> {
  return async () => ({ body: { hives: [...queen.hives()] } });
}
