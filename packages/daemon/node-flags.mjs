// What starts the queen reads this file before she runs: launchers under whichever Node there is (20 or newer), the image's
// script, and the tests. So it uses no TypeScript and no dependency.
import { availableParallelism } from "node:os";

/**
 * What Node is told that runs this file and is not told already (`told`). Of the queen's commands only `serve` has the use of it,
 * and docs/performance.md says what it is good for. V8 lets the young generation of a busy server grow to 96 MB, half of it is
 * as fast; and it has four threads collect garbage, which keep her own from its core where there are but two.
 */
export function nodeFlagsFor(file, args, told = [...process.execArgv, process.env.NODE_OPTIONS ?? ""]) {
  if (!/\bqueen(\.mjs|\/src\/main\.ts)$/.test(file) || !args.includes("serve")) return [];
  const given = told.join(" ").replaceAll("_", "-");
  const wanted = { "--max-semi-space-size": 16, "--v8-pool-size": Math.min(Math.max(availableParallelism() - 1, 1), 4) };
  return Object.entries(wanted).flatMap(([flag, value]) => (given.includes(flag) ? [] : [`${flag}=${value}`]));
}
