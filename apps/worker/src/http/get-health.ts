import type { Handler } from "@queen-and-hive/daemon";
import { unreachable } from "@queen-and-hive/protocol";
import type { WORKER_ENDPOINTS } from "../endpoints.ts";
import type { Serving } from "./serving.ts";

/** 200 when requests are served, else 503 with what the worker is doing. */
export function getHealth(serving: Serving): Handler<(typeof WORKER_ENDPOINTS)["getHealth"], true> {
  return () => Promise.resolve(healthOf(serving));
}

function healthOf(serving: Serving): { readonly status: number; readonly body: object } {
  const now = serving.lifecycle;
  switch (now.state) {
    case "loading":
      return { status: 503, body: { status: "loading", progress: now.progress } };
    case "ready": {
      const { busy, waiting } = now.engine.load();
      return {
        status: 200,
        body: { status: "ok", slots: now.engine.slots, busy, waiting, cancelled: serving.metrics.cancelled() },
      };
    }
    case "stopping":
      return { status: 503, body: { status: "stopping", open: serving.requests.count } };
    default:
      return unreachable(now);
  }
}
