import { writeFile } from "node:fs/promises";
import { silentLog } from "@queen-and-hive/daemon";
import { temporaryDirectory } from "@queen-and-hive/dev-env";
import { expect, it } from "vitest";
import type { HiveSettings } from "../config/settings.ts";
import type { Host } from "../hosts/host.ts";
import { createLocalHost } from "../hosts/local-host.ts";
import { HiveInstallation } from "./hive-installation.ts";

it("asks a host nothing once its program was found in place, until there is another one to install", async () => {
  await using directory = await temporaryDirectory("qh-install");
  const build = async (version: string): Promise<void> =>
    writeFile(directory.join(`hive-linux-${process.arch}`), `#!/bin/sh\necho 'hive ${version}'\n`);
  const real = createLocalHost();
  let commands = 0;
  const host: Host = {
    ...real,
    exec: (argv, options) => {
      commands += 1;
      return real.exec(argv, options);
    },
  };
  const hive: HiveSettings = {
    id: "gpu1",
    reach: null,
    transport: "local",
    presence: "always",
    onQueenExit: "stop",
    labels: {},
    stateDir: directory.join("state"),
    installDir: directory.join("install"),
    config: {},
  };
  const limits = { from: directory.path, uploadMs: 30_000, keep: 3 };
  const options = { hive, host, limits, commandMs: 20_000, withWorker: false, log: silentLog };
  const prepare = (installation: HiveInstallation) => installation.prepare(new AbortController().signal, () => undefined);

  await build("1.0.0");
  const first = new HiveInstallation({ ...options, known: null });
  expect(await prepare(first)).not.toBeNull();
  const asked = commands;
  expect(await prepare(first)).toBeNull();
  const later = new HiveInstallation({ ...options, known: first.inPlace });
  expect(await prepare(later)).toBeNull();
  expect(commands).toBe(asked);
  await build("1.0.1");
  expect(await prepare(later)).not.toBeNull();
  expect(commands).toBeGreaterThan(asked);
  expect(later.inPlace).not.toEqual(first.inPlace);
  expect(later.forget()).toBe(true);
  expect(later.forget()).toBe(false);
});
