import { randomBytes } from "node:crypto";
import { until } from "../clock/until.ts";
import { freePort } from "../net/free-port.ts";
import { mustRun } from "../processes/must-run.ts";
import { runCommand } from "../processes/run-command.ts";
import { type BaseImages, proxyArgs } from "./base-images.ts";
import type { Engine } from "./engine.ts";

/** A project of docker-compose.yml under a name of its own. The scope's end removes its containers, volumes and images. */
export interface ComposeProject extends AsyncDisposable {
  /** Where the queen is reached, and the key of her owner. */
  readonly url: string;
  readonly key: string;
  build(): Promise<void>;
  /** Runs a compose command to its end and returns its output. Throws when it fails. */
  compose(...args: readonly string[]): Promise<string>;
  /** Runs docker's command on the container of a service, which comes last, and returns its output. */
  docker(service: string, ...args: readonly string[]): Promise<string>;
  /** Waits until the engine says that a service is healthy. */
  healthy(service: string): Promise<void>;
  /** The ids of all of its containers, volumes and networks. */
  remains(): Promise<readonly string[]>;
}

/** The beginning of the labels that compose gives to all that it makes. */
const LABEL = "label=com.docker.compose";
const BUILD_WITHIN_MS = 900_000;
const COMMAND_WITHIN_MS = 180_000;
const HEALTHY_WITHIN_MS = 120_000;

/** Opens the project; nothing is built or started yet. Throws when compose is not installed. */
export async function openComposeProject(engine: Engine, images: BaseImages): Promise<ComposeProject> {
  const project = `queen-and-hive-show-${process.pid}`;
  const words = [...(await composeWords(engine)), "--project-name", project];
  const key = randomBytes(24).toString("hex");
  const port = await freePort();
  const env = { ...engine.env, ...images.args, QUEEN_API_KEY: key, QUEEN_PORT: String(port), IMAGE_TAG: `show-${process.pid}` };
  const ours = ["--quiet", "--filter", `${LABEL}.project=${project}`];
  const run = async (argv: readonly string[], withinMs = COMMAND_WITHIN_MS): Promise<string> =>
    (await mustRun(argv, { env, withinMs })).stdout.trim();
  const compose = (...args: readonly string[]): Promise<string> => run([...words, ...args]);
  const docker = async (service: string, ...args: readonly string[]): Promise<string> =>
    await run(["docker", ...args, await run(["docker", "ps", "--all", ...ours, "--filter", `${LABEL}.service=${service}`])]);
  return {
    url: `http://127.0.0.1:${port}`,
    key,
    build: async () => void (await run([...words, "build", ...proxyArgs(engine), "queen", "node1"], BUILD_WITHIN_MS)),
    compose,
    docker,
    healthy: async (service) => {
      const inspect = ["inspect", "--format", "{{.State.Health.Status}}"];
      const isHealthy = async (): Promise<boolean> => (await docker(service, ...inspect)) === "healthy";
      await until(isHealthy, HEALTHY_WITHIN_MS, `${service} to be healthy`);
    },
    remains: async () => {
      const lists = [
        ["ps", "--all"],
        ["volume", "ls"],
        ["network", "ls"],
      ];
      const found = await Promise.all(lists.map((list) => run(["docker", ...list, ...ours])));
      return found.flatMap((ids) => ids.split("\n")).filter((id) => id !== "");
    },
    [Symbol.asyncDispose]: async () => {
      await compose("--profile", "solo", "down", "--volumes", "--rmi", "all", "--timeout", "45");
    },
  };
}

/** The plugin where it is installed, else the program of old. */
async function composeWords({ env }: Engine): Promise<readonly string[]> {
  for (const words of [["docker", "compose"], ["docker-compose"]]) {
    const result = await runCommand([...words, "version"], { env, cwd: "/" }).catch(() => null);
    if (result?.exitCode === 0) return words;
  }
  throw new Error("cannot find compose: install docker's plugin `compose`, or docker-compose (Debian: docker-compose)");
}
