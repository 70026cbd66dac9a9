import { expect, test } from "vitest";
import { LinkedList } from "./linked-list.ts";

test("things keep the order of their coming, whoever leaves", () => {
  const list = new LinkedList<string>();
  const [first, second, third, fourth] = ["a", "b", "c", "d"].map((value) => list.add(value));
  expect(list.values()).toEqual(["a", "b", "c", "d"]);

  second?.[Symbol.dispose]();
  expect(list.values()).toEqual(["a", "c", "d"]);
  first?.[Symbol.dispose]();
  fourth?.[Symbol.dispose]();
  expect(list.values()).toEqual(["c"]);
  list.add("e");
  expect(list.values()).toEqual(["c", "e"]);
  expect(list.first).toBe(third);
});

test("whoever leaves twice leaves once", () => {
  const list = new LinkedList<number>();
  const gone = list.add(1);
  gone[Symbol.dispose]();
  list.add(2);
  gone[Symbol.dispose]();
  expect(list.values()).toEqual([2]);
  expect(list.size).toBe(1);
});

test("what has left points to nothing that came later", () => {
  const list = new LinkedList<number>();
  const entries = [1, 2, 3].map((value) => list.add(value));
  for (const entry of entries) entry[Symbol.dispose]();
  expect(entries.map(({ previous, next }) => [previous, next])).toEqual([
    [null, null],
    [null, null],
    [null, null],
  ]);
  expect(list.first).toBeNull();
  expect(list.size).toBe(0);
});
