import { showLossAndReturn } from "@queen-and-hive/dev-env";
import { expect, it } from "vitest";

it("has a hive, a worker, a link and the queen lost, which come back, nothing twice, and down leaves nothing", async () => {
  const steps: string[] = [];
  await showLossAndReturn({ say: (line) => steps.push(line), executable: null });
  expect(steps.at(-1)).toMatch(/nothing of ours is left: 4 processes are gone by identity/);
}, 300_000);
