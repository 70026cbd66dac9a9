import type { RuntimeDefinition } from "./runtime-definition.ts";

/** The llama.cpp worker that comes with the hive, which knows how to start it. It calls back and says its own slots. */
export const EMBEDDED: RuntimeDefinition = {
  ready: { callback: true },
  check: { http: "/health" },
  memory: { gguf: { context_flags: ["--context"], context: 8192, per_slot: true, slots: 4 } },
  // What comes with the hive computes on the CPU.
  devices: 0,
};
