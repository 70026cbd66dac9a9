import type { QueenConfigInput } from "@queen-and-hive/protocol";
import type { UpstreamSettings } from "../upstreams/upstream-settings.ts";

type UpstreamInput = NonNullable<QueenConfigInput["upstreams"]>[number];

/** How many requests an upstream is given at the same time when the configuration does not say. */
const SLOTS = 32;

/** One upstream of the configuration: its base URL split into what is connected to and where its API stands. */
export function resolveUpstream(input: UpstreamInput): UpstreamSettings {
  const url = new URL(input.url);
  const path = url.pathname.replace(/\/+$/, "");
  return {
    id: input.id,
    url: url.origin,
    basePath: path === "" ? "/v1" : path,
    key: input.key ?? null,
    models: input.models,
    bestEffort: input.presence === "best_effort",
    overflow: input.use === "overflow",
    slots: input.slots ?? SLOTS,
  };
}
