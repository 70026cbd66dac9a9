import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Cleanup, until } from "./supervision-kit.ts";

/** There on machines with the freezer of cgroup v1: the only way to make a process that survives KILL. */
export const FREEZER = "/sys/fs/cgroup/freezer/cgroup.procs";

/** Puts a process where not even KILL ends it (state D), until it is thawed or the test is over. */
export function freeze(cleanup: Cleanup, pid: number): { thaw(): void } {
  const dir = join(dirname(FREEZER), `qh-test-${pid}`);
  mkdirSync(dir);
  writeFileSync(join(dir, "cgroup.procs"), `${pid}\n`);
  writeFileSync(join(dir, "freezer.state"), "FROZEN");
  let isThawed = false;
  const thaw = (): void => {
    if (isThawed) return;
    isThawed = true;
    writeFileSync(join(dir, "freezer.state"), "THAWED");
  };
  cleanup.defer(async () => {
    thaw();
    await until("its cgroup is empty", () => tryRemove(dir));
  });
  return { thaw };
}

function tryRemove(dir: string): boolean {
  try {
    rmdirSync(dir);
    return true;
  } catch {
    return !existsSync(dir);
  }
}
