import { mkdirSync, rmdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { temporaryDirectory } from "@queen-and-hive/dev-env";
import { expect, it } from "vitest";
import { OutputView } from "./output-view.ts";

it("output that cannot be read is as silent output, and that is said once until it can be read again", async () => {
  await using directory = await temporaryDirectory();
  const path = directory.join("output.log");
  const codes: unknown[] = [];
  const view = new OutputView(path, { warn: (_message, fields) => void codes.push(codeIn(fields)) });
  writeFileSync(path, "four");
  expect([view.size(), view.read(1)]).toEqual([4, { bytes: Buffer.from("our"), end: 4 }]);
  for (const _time of ["once", "again"]) {
    rmSync(path);
    symlinkSync(path, path);
    expect([view.size(), view.read(1), view.size()]).toEqual([4, { bytes: Buffer.alloc(0), end: 1 }, 4]);
    rmSync(path);
    writeFileSync(path, "back");
    expect([view.size(), view.read(0).bytes.toString()]).toEqual([4, "back"]);
  }
  rmSync(path);
  // What can be looked at and not be read, as on a disk that has lost its blocks.
  mkdirSync(path);
  for (const _time of ["once", "again"]) {
    expect(view.read(0)).toEqual({ bytes: Buffer.alloc(0), end: 0 });
    view.size();
  }
  rmdirSync(path);
  expect(view.size()).toBe(0);
  expect(codes).toEqual(["ELOOP", "ELOOP", "EISDIR"]);
});

function codeIn(fields: object | undefined): unknown {
  const error: unknown = fields !== undefined && "error" in fields ? fields.error : null;
  return error instanceof Error && "code" in error ? error.code : error;
}
