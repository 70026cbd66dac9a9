import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { defineConfig } from "vitest/config";

/** What reaches hosts over SSH. OpenSSH's client is the one program that these tests need and Node does not bring. */
const OVER_SSH = ["tests/hosts/**", "apps/queen/test/ssh-*.test.ts", "packages/dev-env/src/ssh/**"];
const lacks = ["ssh", "ssh-keygen"].filter((name) => !isOnPath(name));
const leftOut = lacks.length > 0 && process.env["CI"] === undefined ? OVER_SSH : [];
if (leftOut.length > 0)
  console.warn(`LEFT OUT, since ${lacks.join(" and ")} are not on the PATH (install openssh-client): ${leftOut.join(", ")}`);

export default defineConfig({
  test: {
    include: ["packages/**/*.test.ts", "apps/**/*.test.ts", "tests/**/*.test.ts", "scripts/**/*.test.ts"],
    exclude: ["**/node_modules/**", "**/dist/**", "tests/long/**", "tests/faults/**", ...leftOut],
    pool: "forks",
    // Tests wait for processes more than they compute: twice the two cores that this has to run on.
    maxWorkers: 4,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
  },
});

function isOnPath(name: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => existsSync(join(folder, name)));
}
