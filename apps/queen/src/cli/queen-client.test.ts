import { writeFile } from "node:fs/promises";
import { temporaryDirectory } from "@queen-and-hive/dev-env";
import { expect, test } from "vitest";
import { stopOrderMs } from "./queen-client.ts";

test("an order that stops hives may take longer than the queen's budget for it, however long that is", async () => {
  await using folder = await temporaryDirectory("qh-client");
  const config = folder.join("queen.yaml");
  await writeFile(config, "shutdown: {budget: 240s}\n");
  const around = { env: {}, workingDirectory: folder.path, home: folder.path };
  expect(stopOrderMs({ config }, around)).toBeGreaterThan(240_000);
});
