import { writeFileSync } from "node:fs";
import { Deadline } from "@queen-and-hive/daemon";
import { temporaryDirectory } from "@queen-and-hive/dev-env";
import { describe, expect, it } from "vitest";
import { createHiveCommands } from "./hive-commands.ts";
import type { Host } from "./host.ts";
import { createLocalHost } from "./local-host.ts";

describe("the hive's commands on a host whose login shell prints a banner", () => {
  const real = createLocalHost();
  const noisy: Host = {
    ...real,
    exec: (argv, options) => real.exec(["sh", "-c", 'echo "Welcome to the jungle"; exec "$@"', "login", ...argv], options),
  };
  const status = (installDir: string) =>
    createHiveCommands(noisy, { hiveId: "gpu1", installDir, stateDir: null }).status(Deadline.in(20_000));

  it("say that a program is missing where it is, or cannot be executed", async () => {
    await using directory = await temporaryDirectory("qh-commands");
    await expect(status(directory.join("nowhere"))).rejects.toMatchObject({ kind: "hive_not_installed" });
  });

  it("believe a program that answers before it ends with the code of a missing one", async () => {
    await using directory = await temporaryDirectory("qh-commands");
    await real.exec(["mkdir", directory.join("current")], { deadline: Deadline.in(20_000) });
    const answer = '{"error":{"code":"state_dir_in_use","message":"cannot look: it is taken"}}';
    writeFileSync(directory.join("current/hive"), `#!/bin/sh\necho '${answer}'\nexit 127\n`, { mode: 0o755 });
    await expect(status(directory.path)).rejects.toMatchObject({ message: "cannot look: it is taken" });
  });
});
