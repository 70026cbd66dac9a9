import { showLossAndReturn } from "@queen-and-hive/dev-env";
import { expect, it } from "vitest";

it.each([undefined, "in_process"] as const)(
  "a hive, a worker, a link and the queen are lost and come back, nothing twice, and down leaves nothing (%s)",
  async (kind) => {
    const steps: string[] = [];
    await showLossAndReturn({ say: (line) => steps.push(line), executable: null, ...(kind === undefined ? {} : { kind }) });
    expect(steps.at(-1)).toMatch(/nothing of ours is left: 4 processes are gone by identity/);
  },
  300_000,
);
