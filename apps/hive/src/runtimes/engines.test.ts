import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ENGINES, type Engine, findEngine, packageVersion } from "./engines.ts";

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "qh-engines-"));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

function put(path: string): string {
  const file = join(home, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, "#!/bin/sh\n");
  chmodSync(file, 0o755);
  return file;
}

function engine(name: string): Engine {
  const found = ENGINES.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no engine ${name}`);
  return found;
}

it("the search path comes before the usual places, and those are looked through", () => {
  const built = put("llama.cpp/build/bin/llama-server");
  expect(findEngine(engine("llama-server"), join(home, "none"), home)).toBe(built);
  const onPath = put("path/llama-server");
  expect(findEngine(engine("llama-server"), join(home, "path"), home)).toBe(onPath);
});

it("a Python server is where its package is installed, and its version is read without running it", () => {
  put("path/python3");
  expect(findEngine(engine("sglang"), join(home, "path"), home)).toBe(null);
  const python = put("sglang/.venv/bin/python3");
  put("sglang/.venv/lib/python3.12/site-packages/sglang-0.5.3.dist-info/METADATA");
  expect(findEngine(engine("sglang"), join(home, "path"), home)).toBe(python);
  expect(packageVersion(python, "sglang")).toBe("0.5.3");
  expect(packageVersion(python, "vllm")).toBe(null);
});

it("conda's environments are among the usual places", () => {
  const vllm = put("miniconda3/envs/serving/bin/vllm");
  put("miniconda3/envs/serving/lib/python3.11/site-packages/vllm-0.11.0.dist-info/METADATA");
  expect(findEngine(engine("vllm"), "", home)).toBe(vllm);
});
