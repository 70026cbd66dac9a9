import { expect, it } from "vitest";
import { chooseSlot } from "./slot-choice.ts";

const slot = (name: string, held: number, shared: number) => ({ name, held, shared });

it("brings a chat back to the slot that remembers it", () => {
  expect(chooseSlot([slot("a", 90, 6), slot("b", 70, 68), slot("c", 0, 0)])?.name).toBe("b");
  expect(chooseSlot([slot("a", 40, 40), slot("b", 80, 80)])?.name).toBe("b");
});

it("gives a new chat an empty slot, else the longest unused, though another shares how all chats begin", () => {
  expect(chooseSlot([slot("a", 90, 6), slot("b", 0, 0)])?.name).toBe("b");
  expect(chooseSlot([slot("a", 90, 5), slot("b", 50, 6)])?.name).toBe("a");
  expect(chooseSlot([])).toBeNull();
});
