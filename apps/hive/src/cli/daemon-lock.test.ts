import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { temporaryDirectory, until } from "@queen-and-hive/dev-env";
import { expect, test } from "vitest";
import { lockHolder } from "./daemon-lock.ts";

test("a look at a lock says who holds it, and null when it is free", async () => {
  await using directory = await temporaryDirectory();
  const path = directory.join("lock");
  expect(lockHolder(path)).toBeNull();
  writeFileSync(path, "");
  expect(lockHolder(path)).toBeNull();
  const child = spawn("flock", ["-n", "-F", path, "sleep", "600"], { stdio: "ignore" });
  const closed = once(child, "close");
  try {
    await until(() => lockHolder(path) === child.pid, 20_000, "the lock to be taken");
  } finally {
    child.kill("SIGKILL");
    await closed;
  }
  expect(lockHolder(path)).toBeNull();
}, 30_000);

test("a look takes the lock from nobody", async () => {
  await using directory = await temporaryDirectory();
  const path = directory.join("lock");
  writeFileSync(path, "");
  for (let round = 0; round < 20; round += 1) {
    const child = spawn("flock", ["-n", "-E", "75", path, "true"], { stdio: "ignore" });
    expect(await endWhile(child, () => lockHolder(path))).toBe(0);
  }
}, 60_000);

async function endWhile(child: ChildProcess, look: () => unknown): Promise<number | null> {
  const closed = once(child, "close");
  while (child.exitCode === null && child.signalCode === null) {
    look();
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  await closed;
  return child.exitCode;
}
