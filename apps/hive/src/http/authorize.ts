import type { Authorize } from "@queen-and-hive/daemon";
import { unreachable } from "@queen-and-hive/protocol";
import type { TokenFile } from "../store/token-file.ts";
import type { HiveCaller } from "./hive-parts.ts";

/** Who may call what: the owning queen shows the hive's token, a worker its own, and `/health` is open. */
export function authorizeByToken(token: TokenFile): Authorize<HiveCaller> {
  return (caller, request) => {
    switch (caller) {
      case "anyone":
        return { kind: "anyone" };
      case "queen":
        return request.token !== null && token.matches(request.token) ? { kind: "queen" } : null;
      case "worker":
        return { kind: "worker", token: request.token };
      case "client":
      case "reader":
      case "operator":
      case "hive":
        return null;
      default:
        return unreachable(caller);
    }
  };
}
