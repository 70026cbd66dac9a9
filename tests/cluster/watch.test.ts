import { programCommand, startProgram, startTestQueen, testEnvironment, until } from "@queen-and-hive/dev-env";
import { expect, it } from "vitest";

it("queen status --watch says what changes, waits for a queen who is away, and ends on Ctrl-C", async () => {
  await using queen = await startTestQueen();
  await queen.hivesRunning();
  const argv = [...programCommand("queen"), "status", "--watch", "--json", "--config", queen.configFile];
  const logFile = `${queen.folder}/watch.log`;
  const watching = await startProgram(argv, { env: testEnvironment(queen.folder), cwd: queen.folder, logFile });
  const shown = (state: string): Promise<boolean> =>
    until(() => watching.output().trimEnd().split("\n").at(-1)?.includes(`"state":"${state}"`) === true, 30_000, state);
  await shown("running");
  await queen.command(["hive", "stop", "local"]);
  await shown("stopped");
  await queen.stop();
  await queen.start();
  await queen.command(["hive", "start", "local"]);
  await shown("running");
  watching.send("SIGINT");
  expect(await watching.ended(20_000)).toMatchObject({ code: 0 });
  for (const line of watching.output().trim().split("\n")) expect(JSON.parse(line)).toHaveProperty("hives");
}, 120_000);
