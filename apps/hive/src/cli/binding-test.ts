import { pathToFileURL } from "node:url";
import type { Environment } from "../config-environment.ts";

/** The file that node-llama-cpp forks, always with this name, to try a native binding before it is loaded for good. */
const TESTING_FILE = "testBindingBinary.js";

/**
 * Hands over to node-llama-cpp's test of its native binding when this process was forked for that: in the single executable
 * a fork runs our own main again. False when this is an ordinary start.
 */
export function runsBindingTest(environment: Environment, words: readonly string[]): boolean {
  if (environment["TEST_BINDING_CP"] !== "true") return false;
  const file = words.find((word) => word.endsWith(TESTING_FILE));
  if (file === undefined) return false;
  void import(pathToFileURL(file).href);
  return true;
}
