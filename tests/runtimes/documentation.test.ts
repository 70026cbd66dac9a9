import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { loadQueenConfig } from "../../apps/queen/src/config/load.ts";

const page = readFileSync(new URL("../../docs/runtimes.md", import.meta.url), "utf8");
const blocks = [...page.matchAll(/```yaml\n(.*?)```/gs)].map((match) => match[1] ?? "");
const folder = mkdtempSync(join(tmpdir(), "qh-docs-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the examples of docs/runtimes.md", () => {
  it("are found", () => expect(blocks.length).toBeGreaterThan(5));

  it.each(blocks)("are a configuration: %s", (block) => {
    const file = join(folder, "queen.yaml");
    writeFileSync(file, block);
    const loaded = loadQueenConfig(file, { env: {}, workingDirectory: folder, home: folder });
    expect(Object.keys(loaded.value)).toEqual(expect.arrayContaining(["models", "hives", "runtimes"]));
  });
});
