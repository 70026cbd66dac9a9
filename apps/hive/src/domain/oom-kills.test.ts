import { describe, expect, it } from "vitest";
import { oomEvidence, oomKillsIn } from "./oom-kills.ts";

/** cgroup v2's memory.events of a unit with MemoryMax=, after a kill, as Linux 6.8 writes it. */
const MEMORY_EVENTS = "low 0\nhigh 0\nmax 2417\noom 3\noom_kill 1\noom_group_kill 0\n";
/** The end of /proc/vmstat of the same kernel, shortened. */
const VMSTAT = "nr_free_pages 5513241\nnr_zone_inactive_anon 10\noom_kill 12\nnuma_pte_updates 0\npgmigrate_success 4\n";

describe("the kernel's count of kills for lack of memory", () => {
  it("is read as the kernel writes it, and nothing else is taken for it", () => {
    expect([oomKillsIn(MEMORY_EVENTS), oomKillsIn(VMSTAT)]).toEqual([1, 12]);
    expect(oomKillsIn("low 0\nhigh 0\nmax 0\noom 5\noom_kill 0\n")).toBe(0);
    // Linux before 4.19 has no oom_kill in memory.events; the shim may have left nothing.
    expect(["low 0\nhigh 0\nmax 7\noom 5\n", "", "oom_kill", "oom_kill many\n", "oom_group_kill 4\n"].map(oomKillsIn)).toEqual(
      Array.from({ length: 5 }, () => null),
    );
  });

  it("proves nothing without a reading from before", () => {
    expect(oomEvidence(null, { machine: 9, worker: 9 })).toBe("none");
    expect(oomEvidence({ machine: null, worker: null }, { machine: 9, worker: 9 })).toBe("none");
  });

  it("of the worker's own cgroup decides, whatever happens elsewhere on the machine", () => {
    expect(oomEvidence({ machine: 1, worker: 0 }, { machine: 2, worker: 1 })).toBe("worker");
    expect(oomEvidence({ machine: 1, worker: 1 }, { machine: 7, worker: 1 })).toBe("none");
  });

  it("of the machine says only that it may be so", () => {
    expect(oomEvidence({ machine: 1, worker: null }, { machine: 2, worker: null })).toBe("machine");
    // A cgroup that is gone tells nothing any more.
    expect(oomEvidence({ machine: 1, worker: 0 }, { machine: 2, worker: null })).toBe("machine");
    expect(oomEvidence({ machine: 2, worker: null }, { machine: 2, worker: null })).toBe("none");
    expect(oomEvidence({ machine: 2, worker: null }, { machine: null, worker: null })).toBe("none");
  });
});
