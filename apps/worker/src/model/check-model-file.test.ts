import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { WORKER_EXIT } from "@queen-and-hive/protocol";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { StartFailure } from "../domain/start-failure.ts";
import { checkModelFile } from "./check-model-file.ts";

const MODEL = fileURLToPath(new URL("../../../../models/tiny.gguf", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "worker-model-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function failureOf(path: string): StartFailure {
  try {
    checkModelFile(path);
  } catch (error) {
    if (error instanceof StartFailure) return error;
    throw error;
  }
  throw new Error(`${path} was accepted`);
}

test("a whole GGUF file is accepted and its size is the end of its data", () => {
  const file = checkModelFile(MODEL);
  expect(file.tensors).toBeGreaterThan(10);
  expect(file.bytes).toBe(readFileSync(MODEL).length);
});

test("a missing file is named, with the exit code of a missing model", () => {
  const failure = failureOf(join(folder, "absent.gguf"));
  expect(failure.exitCode).toBe(WORKER_EXIT.modelMissing);
  expect(failure.message).toMatch(/^cannot load .*absent\.gguf: /);
});

test("a directory, an empty file and a text are not models", () => {
  const directory = join(folder, "directory");
  mkdirSync(directory);
  const empty = join(folder, "empty.gguf");
  writeFileSync(empty, "");
  const text = join(folder, "text.gguf");
  writeFileSync(text, "<html>404 not found</html>");
  for (const path of [directory, empty, text]) expect(failureOf(path).exitCode).toBe(WORKER_EXIT.modelInvalid);
});

test("a file that lacks even its last byte is called truncated", () => {
  const path = join(folder, "short.gguf");
  copyFileSync(MODEL, path);
  truncateSync(path, readFileSync(MODEL).length - 1);
  const failure = failureOf(path);
  expect(failure.exitCode).toBe(WORKER_EXIT.modelInvalid);
  expect(failure.message).toContain("truncated");
});

test("wherever a file is cut, it is refused", () => {
  const whole = readFileSync(MODEL);
  const path = join(folder, "cut.gguf");
  fc.assert(
    fc.property(fc.integer({ min: 0, max: whole.length - 1 }), (length) => {
      writeFileSync(path, whole.subarray(0, length));
      expect(failureOf(path).exitCode).toBe(WORKER_EXIT.modelInvalid);
    }),
    { numRuns: 60 },
  );
});
