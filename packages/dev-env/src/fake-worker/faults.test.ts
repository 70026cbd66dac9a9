import { describe, expect, it } from "vitest";
import { describeFaults, FAULTS, planFaults } from "./faults.ts";

describe("the fault table", () => {
  it("changes nothing when no fault is named", () => {
    expect(planFaults([])).toMatchObject({ exitAtStart: null, ignoresTerm: false, callbackTimes: 1 });
  });

  it("adds faults up, with their arguments or their defaults", () => {
    const plan = planFaults(["crash-at-start=7", "drop-stream", "ignore-term"]);
    expect(plan).toMatchObject({ exitAtStart: 7, cutAfterTokens: 3, ignoresTerm: true, dieAfterTokens: null });
  });

  it.each(Object.keys(FAULTS))("knows what %s changes, and describes it", (name) => {
    expect(planFaults([name])).not.toEqual(planFaults([]));
    expect(describeFaults()).toContain(name);
  });

  it("refuses unknown names and arguments that make no sense", () => {
    expect(() => planFaults(["be-nice"])).toThrow('cannot use the fault "be-nice"; known are crash-at-start');
    expect(() => planFaults(["mute=1"])).toThrow("it takes none");
    expect(() => planFaults(["crash-after-tokens=many"])).toThrow("write a whole number");
  });
});
