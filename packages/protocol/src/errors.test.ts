import { expect, it } from "vitest";
import { ERROR_KINDS, errorBody, isErrorKind, QhError } from "./errors.ts";
import { newQueenId, newRequestId, newWorkerId, parseHiveId, parseQueenId, parseRequestId, parseWorkerId } from "./ids.ts";
import { commonProtocol } from "./version.ts";

it("gives every kind of error a status of failure", () => {
  for (const [kind, { status }] of Object.entries(ERROR_KINDS)) {
    expect(status, kind).toBeGreaterThanOrEqual(400);
    expect(status, kind).toBeLessThan(600);
  }
});

it("writes the one error shape, leaving out what is not known", () => {
  const error = new QhError("model_not_found", 'cannot find the model "x"', { param: "model" });
  expect(errorBody(error, "req-1")).toEqual({
    error: {
      message: 'cannot find the model "x"',
      type: "invalid_request_error",
      code: "model_not_found",
      param: "model",
      request_id: "req-1",
    },
  });
});

it("knows its kinds by own names only", () => {
  expect([isErrorKind("internal"), isErrorKind("toString"), isErrorKind("__proto__")]).toEqual([true, false, false]);
});

it("makes ids that it can parse, and parses nothing else", () => {
  expect(parseWorkerId(newWorkerId())).not.toBeNull();
  expect(parseQueenId(newQueenId())).not.toBeNull();
  expect(parseRequestId(newRequestId())).not.toBeNull();
  expect([parseHiveId("gpu-1"), parseHiveId("-gpu"), parseHiveId("a".repeat(64)), parseHiveId("a\n")]).toEqual([
    "gpu-1",
    null,
    null,
    null,
  ]);
  expect([parseWorkerId("worker-1"), parseRequestId(""), parseRequestId("a b"), parseRequestId("a\r\nx: y")]).toEqual([
    null,
    null,
    null,
    null,
  ]);
});

it("agrees on the highest protocol version that both sides speak, or on none", () => {
  expect(commonProtocol({ min: 1, max: 3 }, { min: 2, max: 5 })).toBe(3);
  expect(commonProtocol({ min: 1, max: 1 }, { min: 2, max: 5 })).toBeNull();
});
