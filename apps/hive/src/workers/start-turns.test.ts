import fc from "fast-check";
import { expect, it } from "vitest";
import { type StartTurn, StartTurns } from "./start-turns.ts";

it("lets one worker start at a time on each device, in the order of asking, whatever they ask for", () => {
  const device = fc.constantFrom("GPU-1", "GPU-2", "GPU-3", "cpu");
  const asks = fc.array(fc.tuple(fc.uniqueArray(device, { maxLength: 3 }), fc.boolean()), { maxLength: 30 });
  fc.assert(
    fc.property(asks, fc.infiniteStream(fc.nat()), (wanted, picks) => {
      const turns = new StartTurns();
      const open: { readonly devices: readonly string[]; readonly turn: StartTurn; hasCome: boolean }[] = [];
      for (const [index, [devices, leaves]] of wanted.entries()) {
        const turn = turns.take(devices, `worker-${index}`);
        open.push({ devices, turn, hasCome: turn.behind.length === 0 });
        if (devices.every((id) => id === "cpu")) expect(turn.behind).toEqual([]);
        const running = open.filter(({ hasCome }) => hasCome).flatMap((one) => one.devices.filter((id) => id !== "cpu"));
        expect(new Set(running).size).toBe(running.length);
        if (!leaves) continue;
        const [gone] = open.splice((picks.next().value ?? 0) % open.length, 1);
        gone?.turn[Symbol.dispose]();
        for (const one of open.filter(({ hasCome }) => !hasCome)) {
          const taken = open.filter(({ hasCome }) => hasCome).flatMap((other) => other.devices);
          const isFirst =
            open.indexOf(one) ===
            open.findIndex((other) => !other.hasCome && other.devices.some((id) => id !== "cpu" && one.devices.includes(id)));
          if (isFirst && !one.devices.some((id) => id !== "cpu" && taken.includes(id))) one.hasCome = true;
        }
      }
      return true;
    }),
  );
});

it("comes when the one before has left, or when it is told not to wait", async () => {
  const turns = new StartTurns();
  const first = turns.take(["GPU-1"], "first");
  const second = turns.take(["GPU-1", "GPU-2"], "second");
  const third = turns.take(["GPU-2"], "third");
  expect([first.behind, second.behind, third.behind]).toEqual([[], ["first"], ["second"]]);
  third.hurry();
  await third.come;
  first[Symbol.dispose]();
  await second.come;
  third[Symbol.dispose]();
  second[Symbol.dispose]();
  expect(turns.take(["GPU-1", "GPU-2"], "fourth").behind).toEqual([]);
});
