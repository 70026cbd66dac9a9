import { showTwoHosts } from "@queen-and-hive/dev-env";
import { expect, it } from "vitest";

it.each([undefined, "in_process"] as const)(
  "two empty hosts, by tunnel and direct, serve, survive the loss of SSH and are left clean (%s)",
  async (kind) => {
    const steps: string[] = [];
    await showTwoHosts({ say: (line) => steps.push(line), executable: null, ...(kind === undefined ? {} : { kind }) });
    expect(steps.at(-1)).toMatch(/nothing of ours is left: 8 processes are gone by identity/);
    expect(steps).toContainEqual(expect.stringContaining("both said so by callback: 2 more"));
    const status = steps.find((line) => line.startsWith("queen status:"));
    for (const hive of ["tunnelled", "direct"]) expect(status).toMatch(new RegExp(`${hive} +running`));
  },
  180_000,
);
