import type { MoreEndpoint } from "@queen-and-hive/daemon";
import { inferenceEndpoint } from "@queen-and-hive/protocol";
import type { Gateway } from "../gateway/gateway.ts";
import type { Identity } from "./identity.ts";

/** The routes that only some runtimes serve, as endpoints for the server. */
export function listedEndpoints(gateway: Gateway<Identity>): readonly MoreEndpoint<Identity>[] {
  return [...gateway.listed].map(([path, handler]) => ({
    name: path,
    row: inferenceEndpoint(path, "A runtime's own."),
    handler,
  }));
}
