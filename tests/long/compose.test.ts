import { dirname, join } from "node:path";
import { REPOSITORY, runCommand, showCompose, testEnvironment } from "@queen-and-hive/dev-env";
import { expect, it } from "vitest";

const WITHIN_MS = 1_800_000;
const REFUSED_WITHIN_MS = 120_000;

it(
  "the cluster of docker-compose.yml serves from both nodes, outlives its queen's restart and a node's death, and goes without a trace",
  async () => {
    const steps: string[] = [];
    await showCompose({
      say: (line) => {
        steps.push(line);
        process.stdout.write(`${line}\n`);
      },
    });
    expect(steps.filter((line) => line.startsWith("answered by node1"))).toHaveLength(2);
    expect(steps.filter((line) => line.startsWith("answered by node2"))).toHaveLength(2);
    expect(steps.at(-1)).toMatch(/nothing is left/);
  },
  WITHIN_MS,
);

it("says so and fails where there is no engine and none to start", async () => {
  const env = { ...testEnvironment("/tmp"), PATH: dirname(process.execPath), DOCKER_HOST: "unix:///nowhere/docker.sock" };
  const argv = [process.execPath, join(REPOSITORY, "scripts/show-compose.ts")];
  const { exitCode, stderr } = await runCommand(argv, { env, cwd: "/tmp", withinMs: REFUSED_WITHIN_MS });
  expect(stderr).toContain("cannot start a container engine");
  expect(exitCode).toBe(1);
});
