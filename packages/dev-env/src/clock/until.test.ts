import { describe, expect, it } from "vitest";
import { until } from "./until.ts";

describe("until", () => {
  it("returns what the condition says as soon as it holds", async () => {
    let looks = 0;
    expect(
      await until(() => {
        looks += 1;
        return looks >= 3 ? "here" : null;
      }),
    ).toBe("here");
  });

  it("takes zero and the empty text for answers", async () => {
    expect([await until(() => 0), await until(() => "")]).toEqual([0, ""]);
  });

  it("says what it waited for and what it heard last when the time is over", async () => {
    await expect(until(() => false, 30, "rain")).rejects.toThrow("cannot wait longer for rain: it says false");
    const fail = (): never => {
      throw new Error("no answer");
    };
    await expect(until(fail, 30, "news")).rejects.toThrow("cannot wait longer for news: it throws Error: no answer");
  });

  it("looks once more when the deadline has passed before the first look", async () => {
    expect(await until(() => "at once", 0)).toBe("at once");
  });
});
