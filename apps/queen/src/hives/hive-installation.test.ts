import { readlink, writeFile } from "node:fs/promises";
import { silentLog } from "@queen-and-hive/daemon";
import { type TemporaryDirectory, temporaryDirectory } from "@queen-and-hive/dev-env";
import { type ErrorKind, QhError } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import type { HiveSettings } from "../config/settings.ts";
import type { Host } from "../hosts/host.ts";
import { createLocalHost } from "../hosts/local-host.ts";
import { HiveInstallation, type HiveInstallationOptions, type Prepared, type Trial } from "./hive-installation.ts";

/** How a host is asked to install into a folder of a test. */
function optionsIn(directory: TemporaryDirectory, host: Host): HiveInstallationOptions {
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
  return { hive, host, limits, commandMs: 20_000, withWorker: false, known: null, log: silentLog };
}

async function build(directory: TemporaryDirectory, version: string): Promise<void> {
  await writeFile(directory.join(`hive-linux-${process.arch}`), `#!/bin/sh\necho 'hive ${version}'\n`);
}

function prepare(installation: HiveInstallation): Promise<Prepared> {
  return installation.prepare(new AbortController().signal, () => undefined);
}

async function tried(installation: HiveInstallation): Promise<Trial> {
  const prepared = await prepare(installation);
  if (prepared.kind !== "on_trial") throw new Error(`a version should be on trial, not ${prepared.kind}`);
  return prepared.trial;
}

it("asks a host nothing once its program was found in place, until there is another one to install", async () => {
  await using directory = await temporaryDirectory("qh-install");
  const real = createLocalHost();
  let commands = 0;
  const host: Host = {
    ...real,
    exec: (argv, options) => {
      commands += 1;
      return real.exec(argv, options);
    },
  };
  const options = optionsIn(directory, host);

  await build(directory, "1.0.0");
  const first = new HiveInstallation(options);
  await (await tried(first)).prove();
  const asked = commands;
  expect(await prepare(first)).toEqual({ kind: "in_place" });
  const later = new HiveInstallation({ ...options, known: first.inPlace });
  expect(await prepare(later)).toEqual({ kind: "in_place" });
  expect(commands).toBe(asked);
  await build(directory, "1.0.1");
  await (await tried(later)).prove();
  expect(commands).toBeGreaterThan(asked);
  expect(later.inPlace).not.toEqual(first.inPlace);
  expect(later.forget()).toBe(true);
  expect(later.forget()).toBe(false);
});

describe("a version whose hand-shake is still to come", () => {
  const mute = new QhError("start_timeout", "cannot start gpu1: it does not answer");

  it("is on trial again for a queen that comes after an interruption, and can still give way", async () => {
    await using directory = await temporaryDirectory("qh-install");
    const options = optionsIn(directory, createLocalHost());
    await build(directory, "1.0.0");
    const first = new HiveInstallation(options);
    await (await tried(first)).prove();
    const good = await readlink(directory.join("install", "current"));
    await build(directory, "1.0.1");
    await tried(first);
    // She ends here; what she has written down is all that the next one knows.
    expect(first.inPlace).toBeNull();
    const next = new HiveInstallation({ ...options, known: first.inPlace });
    const trial = await tried(next);
    expect(await readlink(directory.join("install", "current"))).not.toBe(good);
    expect(await trial.goBack(mute)).toBe(true);
    expect(await readlink(directory.join("install", "current"))).toBe(good);
    expect(await prepare(next)).toEqual({ kind: "in_place" });
  });

  it("gives way at the next start when the link is cut while it should", async () => {
    await using directory = await temporaryDirectory("qh-install");
    const real = createLocalHost();
    let isCut = false;
    const exec: Host["exec"] = async (argv, options) => {
      if (isCut) throw new QhError("host_unreachable", "cannot reach gpu1: the link is cut");
      return await real.exec(argv, options);
    };
    const installation = new HiveInstallation(optionsIn(directory, { ...real, exec }));
    await build(directory, "1.0.0");
    await (await tried(installation)).prove();
    const good = await readlink(directory.join("install", "current"));
    await build(directory, "1.0.1");
    const trial = await tried(installation);
    isCut = true;
    await expect(trial.goBack(mute)).rejects.toMatchObject({ kind: "host_unreachable" });
    isCut = false;
    expect(await prepare(installation)).toEqual({ kind: "went_back" });
    expect(await readlink(directory.join("install", "current"))).toBe(good);
    expect(await prepare(installation)).toEqual({ kind: "in_place" });
  });

  it("is not to blame for a network that fails", async () => {
    await using directory = await temporaryDirectory("qh-install");
    const installation = new HiveInstallation(optionsIn(directory, createLocalHost()));
    await build(directory, "1.0.0");
    await (await tried(installation)).prove();
    await build(directory, "1.0.1");
    const trial = await tried(installation);
    const newer = await readlink(directory.join("install", "current"));
    const kinds: readonly ErrorKind[] = ["host_unreachable", "deadline_exceeded", "host_login_refused"];
    for (const kind of kinds) expect(await trial.goBack(new QhError(kind, "cannot reach gpu1"))).toBe(false);
    expect(await readlink(directory.join("install", "current"))).toBe(newer);
    await (await tried(installation)).prove();
    expect(await prepare(installation)).toEqual({ kind: "in_place" });
  });
});
