import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { nodeFlagsFor } from "@queen-and-hive/daemon/node-flags";

/** The folder of this repository, in which tests find the programs that they start. */
export const REPOSITORY = fileURLToPath(new URL("../../../..", import.meta.url)).replace(/\/$/, "");

/** A program of this repository as the first words of a command line, the queen with the flags of `npx queen serve`. */
export function programCommand(program: "hive" | "queen" | "worker" | "fake-worker"): readonly string[] {
  const main = program === "fake-worker" ? "packages/dev-env/src/fake-worker/main.ts" : `apps/${program}/src/main.ts`;
  const flags = program === "queen" ? nodeFlagsFor(main, ["serve"], []) : [];
  return [process.execPath, ...flags, join(REPOSITORY, main)];
}

/** Compiled sources, kept between the many short runs of tests: a third of the start-up time. */
export const COMPILE_CACHE = { NODE_COMPILE_CACHE: join(tmpdir(), "queen-and-hive-compile-cache") } as const;

/**
 * The environment of a program under test: a PATH, a HOME of its own, nothing of the person who runs the tests, so that
 * no configuration and no state of theirs is read or touched.
 */
export function testEnvironment(home: string, more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return { PATH: process.env["PATH"] ?? "/usr/bin:/bin", HOME: home, LANG: "C.UTF-8", NO_COLOR: "1", ...COMPILE_CACHE, ...more };
}

/** The environment of whoever runs the tests (a proxy for the package archive, say), for tools that are not under test. */
export function callersEnvironment(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  const own = Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
  return { ...Object.fromEntries(own), ...more };
}
