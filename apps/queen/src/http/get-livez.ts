import type { QueenHandler, QueenView } from "./queen-view.ts";

/** `GET /livez`: 200 as soon as the process serves, also while hives still start. */
export function getLivez(queen: QueenView): QueenHandler<"getLivez"> {
  return async () => ({ body: { status: queen.phase() === "stopping" ? "stopping" : "ok", version: queen.version } });
}
