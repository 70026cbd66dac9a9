import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { systemClock } from "@queen-and-hive/daemon";
import { skipsWithout } from "@queen-and-hive/dev-env";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Devices } from "./devices.ts";

const FREEZER = "/sys/fs/cgroup/freezer";

let dir: string;
let warnings: object[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "qh-devices-"));
  warnings = [];
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function tool(name: string, script: string): void {
  writeFileSync(join(dir, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(dir, name), 0o755);
}

function devicesOf(named: readonly string[] = [], toolTimeoutMs = 20_000): Devices {
  return new Devices({
    searchPath: dir,
    named,
    clock: systemClock,
    log: { warn: (message, fields) => void warnings.push({ message, ...fields }) },
    drmDir: join(dir, "drm"),
    toolDirs: [],
    toolTimeoutMs,
  });
}

const GPUS = `case "$1" in
--query-gpu=*) echo "GPU-a, NVIDIA RTX A6000, 49140, 1000, 5"; echo x >> "$(dirname "$0")/looks";;
*) echo "77, GPU-a, 900";;
esac`;

describe("the devices of a machine", () => {
  it("without a GPU are the processor's, with the machine's memory", async () => {
    const { devices } = await devicesOf().read();
    expect(devices).toEqual([expect.objectContaining({ id: "cpu", kind: "cpu", memoryTotalBytes: totalmem() })]);
    expect(warnings).toEqual([]);
  });

  it("are NVIDIA's where its tool answers, with what each process has", async () => {
    tool("nvidia-smi", GPUS);
    const reading = await devicesOf().read();
    expect(reading.devices.map(({ id }) => id)).toEqual(["GPU-a"]);
    expect(reading.uses).toEqual([{ pid: 77, deviceId: "GPU-a", bytes: 900 * 1024 * 1024 }]);
  });

  it("are looked up once for all who ask at the same time, and kept for those whom an older look serves", async () => {
    tool("nvidia-smi", GPUS);
    const devices = devicesOf();
    await Promise.all([devices.read(), devices.read(), devices.read(60_000)]);
    await devices.read(60_000);
    expect(readFileSync(join(dir, "looks"), "utf8")).toBe("x\n");
    await devices.read();
    expect(readFileSync(join(dir, "looks"), "utf8")).toBe("x\nx\n");
  });

  it("stay known with unknown memory while the tool hangs, which is said once and never waited for", async () => {
    tool("nvidia-smi", GPUS);
    const devices = devicesOf([], 300);
    // A slow machine may not even start the tool in time; the first answer is needed.
    await expect.poll(async () => (await devices.read()).devices[0]?.id, { timeout: 20_000 }).toBe("GPU-a");
    warnings.length = 0;
    tool("nvidia-smi", "trap '' TERM; exec sleep 600");
    const before = systemClock.monotonicMs();
    expect((await devices.read()).devices).toEqual([
      expect.objectContaining({ id: "GPU-a", memoryTotalBytes: 49140 * 1024 * 1024, memoryUsedBytes: null }),
    ]);
    await devices.read();
    expect(systemClock.monotonicMs() - before).toBeLessThan(10_000);
    expect(warnings).toEqual([
      { message: "cannot read the devices", reason: `${join(dir, "nvidia-smi")} did not answer within 300 ms` },
    ]);
  });

  it.skipIf(skipsWithout(existsSync(FREEZER), "the freezer of cgroup v1, so that nothing survives KILL"))(
    "are asked of one tool alone while that cannot be ended",
    async () => {
      const cage = join(FREEZER, `qh-devices-${process.pid}`);
      mkdirSync(cage);
      try {
        writeFileSync(join(cage, "freezer.state"), "FROZEN");
        // Where no signal reaches it, like a tool that waits for its driver.
        tool("nvidia-smi", `echo $$ >>"$(dirname "$0")/asked"; echo $$ >${cage}/cgroup.procs; exec sleep 600`);
        const devices = devicesOf([], 1_000);
        const asked = (): readonly string[] => readFileSync(join(dir, "asked"), "utf8").trim().split("\n");
        const isAsked = async (): Promise<boolean> => {
          await devices.read();
          return existsSync(join(dir, "asked"));
        };
        await expect.poll(isAsked, { timeout: 20_000 }).toBe(true);
        for (let look = 0; look < 3; look += 1) await devices.read();
        // A look asks two questions at once.
        expect(asked().length).toBeLessThanOrEqual(2);
        writeFileSync(join(cage, "freezer.state"), "THAWED");
        tool("nvidia-smi", GPUS);
        await expect.poll(async () => (await devices.read()).devices[0]?.id, { timeout: 20_000 }).toBe("GPU-a");
      } finally {
        writeFileSync(join(cage, "freezer.state"), "THAWED");
        await expect.poll(() => readFileSync(join(cage, "cgroup.procs"), "utf8"), { timeout: 20_000 }).toBe("");
        rmdirSync(cage);
      }
    },
    60_000,
  );

  it("that fail are said with the tool's own last line", async () => {
    tool("nvidia-smi", "echo NVIDIA-SMI has failed because of the driver; exit 9");
    expect((await devicesOf().read()).devices.map(({ id }) => id)).toEqual(["cpu"]);
    expect(warnings).toEqual([expect.objectContaining({ reason: expect.stringMatching(/ended with 9: NVIDIA-SMI has failed/) })]);
  });

  it("leave a processor's own graphics out unless the operator names it", async () => {
    const card = join(dir, "drm", "card0", "device");
    mkdirSync(card, { recursive: true });
    const files = { vendor: "0x1002", mem_info_vram_total: "536870912", mem_info_vram_used: "1" };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(card, name), text);
    expect((await devicesOf().read()).devices.map(({ id }) => id)).toEqual(["cpu"]);
    expect((await devicesOf(["AMD-0"]).read()).devices.map(({ id }) => id)).toEqual(["AMD-0"]);
  });
});
