import fc from "fast-check";
import { expect, test } from "vitest";
import { StopMatcher } from "./stop-matcher.ts";

function run(stops: readonly string[], pieces: readonly string[]): { text: string; stopped: boolean } {
  const matcher = new StopMatcher(stops);
  let text = "";
  for (const piece of pieces) {
    const match = matcher.push(piece);
    text += match.text;
    if (match.stopped) return { text, stopped: true };
  }
  return { text: text + matcher.flush(), stopped: false };
}

test("a stop sequence that arrives in pieces is never shown", () => {
  expect(run(["END"], ["one E", "N", "D two"])).toEqual({ text: "one ", stopped: true });
});

test("the beginning of a stop sequence that is not continued is shown after all", () => {
  expect(run(["END"], ["E", "N", "E", "EN"])).toEqual({ text: "ENEEN", stopped: false });
});

test("text after a stop is swallowed", () => {
  const matcher = new StopMatcher(["."]);
  expect(matcher.push("a.b")).toEqual({ text: "a", stopped: true });
  expect(matcher.push("c")).toEqual({ text: "", stopped: true });
  expect(matcher.flush()).toBe("");
});

test("an empty stop sequence stops nothing", () => {
  expect(run([""], ["abc"])).toEqual({ text: "abc", stopped: false });
});

const letters = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 12 });

test("however a text is cut into pieces, it ends before the first stop sequence that becomes complete", () => {
  fc.assert(
    fc.property(
      fc.array(letters, { maxLength: 8 }),
      fc.array(
        letters.filter((stop) => stop !== ""),
        { maxLength: 3 },
      ),
      (pieces, stops) => {
        const whole = pieces.join("");
        const inOnePiece = run(stops, [whole]);
        const cut = run(stops, pieces);
        expect(cut.stopped).toBe(inOnePiece.stopped);
        expect(whole.startsWith(cut.text)).toBe(true);
        expect(stops.some((stop) => cut.text.includes(stop))).toBe(false);
        if (!cut.stopped) expect(cut.text).toBe(whole);
        else expect(stops.some((stop) => whole.startsWith(stop, cut.text.length))).toBe(true);
      },
    ),
  );
});
