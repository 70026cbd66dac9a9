import { execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileValidator } from "@queen-and-hive/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../clock.ts";
import { isNetworkFileSystem, mountTypeOf } from "./network-file-system.ts";
import { ensurePrivateDir } from "./private-dir.ts";
import { copyAside, setAside } from "./set-aside.ts";
import { readStateFile } from "./state-file.ts";
import { writeFileDurable, writeFileDurableSync } from "./write-durable.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "qh-files-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const modeOf = (path: string): number => statSync(path).mode & 0o777;

describe.each([
  ["writeFileDurable", writeFileDurable],
  ["writeFileDurableSync", async (...args: Parameters<typeof writeFileDurableSync>) => writeFileDurableSync(...args)],
])("%s", (_name, write) => {
  it("replaces a file for its owner only and leaves nothing else", async () => {
    const path = join(dir, "ledger.json");
    writeFileSync(path, "old", { mode: 0o644 });
    await write(path, "new");
    expect([readFileSync(path, "utf8"), modeOf(path), readdirSync(dir)]).toEqual(["new", 0o600, ["ledger.json"]]);
  });

  it("gives the asked mode whatever the umask is", async () => {
    const before = process.umask(0o077);
    await write(join(dir, "hive"), "#!", 0o755).finally(() => process.umask(before));
    expect(modeOf(join(dir, "hive"))).toBe(0o755);
  });

  it("keeps the old content and no rest when it fails", async () => {
    const path = join(dir, "taken");
    await ensurePrivateDir(join(path, "inside"));
    await expect(write(path, "new")).rejects.toMatchObject({ kind: "storage_failed", details: { path } });
    expect(readdirSync(dir)).toEqual(["taken"]);
    await expect(write(join(dir, "no", "such", "file"), "x")).rejects.toMatchObject({ details: { code: "ENOENT" } });
  });
});

describe("a private directory", () => {
  it("is made with its parents, for its owner only", async () => {
    await ensurePrivateDir(join(dir, "a", "b"));
    expect([modeOf(join(dir, "a")), modeOf(join(dir, "a", "b"))]).toEqual([0o700, 0o700]);
  });

  it("is closed to others when it is ours and open", async () => {
    chmodSync(dir, 0o755);
    await ensurePrivateDir(dir);
    expect(modeOf(dir)).toBe(0o700);
  });

  it("may be a link of our own", async () => {
    symlinkSync(dir, join(dir, "link"));
    await expect(ensurePrivateDir(join(dir, "link"))).resolves.toBeUndefined();
  });

  it("is refused when it belongs to somebody else", async () => {
    const foreign = process.getuid?.() === 0 ? null : "/etc";
    if (foreign === null) {
      const { chownSync } = await import("node:fs");
      chownSync(dir, 4_242, 4_242);
    }
    await expect(ensurePrivateDir(foreign ?? dir)).rejects.toMatchObject({ kind: "storage_failed" });
  });

  it("that cannot be made is said, also where Node's own recursive mkdir never returns", async () => {
    await expect(ensurePrivateDir("/proc/no/such/place")).rejects.toThrow(
      /cannot make the directory \/proc\/no\/such\/place: ENOENT/,
    );
  });

  it("is refused when a file is in its place", async () => {
    writeFileSync(join(dir, "file"), "");
    await expect(ensurePrivateDir(join(dir, "file"))).rejects.toMatchObject({
      kind: "storage_failed",
      details: { code: "EEXIST" },
    });
  });
});

describe("setting a damaged file aside", () => {
  const clock = { ...systemClock, nowMs: () => Date.UTC(2030, 0, 2, 3, 4, 5) };

  it("names it after the time and never overwrites one", () => {
    const path = join(dir, "ledger.json");
    writeFileSync(path, "first");
    const first = setAside(path, clock);
    writeFileSync(path, "second");
    const second = setAside(path, clock);
    expect([first, second]).toEqual([`${path}.damaged-2030-01-02T03:04:05.000Z`, `${path}.damaged-2030-01-02T03:04:05.000Z-2`]);
    expect([readFileSync(first ?? "", "utf8"), existsSync(path)]).toEqual(["first", false]);
  });

  it("can leave the file in its place, with what is kept its own once it is replaced", async () => {
    const path = join(dir, "outbox.jsonl");
    writeFileSync(path, "damaged");
    const kept = copyAside(path, clock) ?? "";
    expect([readFileSync(path, "utf8"), readFileSync(kept, "utf8")]).toEqual(["damaged", "damaged"]);
    await writeFileDurable(path, "new");
    expect([readFileSync(path, "utf8"), readFileSync(kept, "utf8")]).toEqual(["new", "damaged"]);
  });

  it("says null when there is none", () => {
    for (const keep of [setAside, copyAside]) expect(keep(join(dir, "none"), clock)).toBeNull();
  });
});

describe("a network file system", () => {
  it("is not what a temporary directory is on, even below what does not exist yet", () => {
    expect(isNetworkFileSystem(join(dir, "not", "yet"))).toBeNull();
  });

  it("is found by the mount that covers a path most closely", () => {
    const mounts = [
      "22 1 254:0 / / rw - ext4 /dev/vda rw",
      "40 22 0:50 / /home/me rw - fuse.sshfs me@nas:/ rw",
      "41 22 0:51 / /home/me/with\\040space rw - fuse.mergerfs x rw",
    ].join("\n");
    expect(mountTypeOf("/home/me/state", mounts)).toBe("fuse.sshfs");
    expect(mountTypeOf("/home/me/with space/x", mounts)).toBe("fuse.mergerfs");
    expect(mountTypeOf("/home/mean", mounts)).toBe("ext4");
  });
});

describe("a file of the state directory", () => {
  it("that is a FIFO is damage, and is not waited for", () => {
    const path = join(dir, "ledger.json");
    execFileSync("mkfifo", [path]);
    // Whoever waits for a writer gets one, late.
    const writer = spawn("sh", ["-c", 'sleep 3; echo 7 >"$1"', "sh", path], { detached: true, stdio: "ignore" });
    try {
      const content = readStateFile(path, compileValidator<number>({ type: "integer" }, "refuse"));
      expect(content).toMatchObject({ kind: "damaged" });
      expect(readdirSync(dir)).toHaveLength(1);
    } finally {
      if (writer.pid !== undefined) process.kill(-writer.pid, "SIGKILL");
    }
  });
});
