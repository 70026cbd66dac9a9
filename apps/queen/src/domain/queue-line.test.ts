import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FairLine, type Waiter } from "./queue-line.ts";

const clients = fc.array(fc.constantFrom("a", "b", "c", "d"), { maxLength: 40 });

function lineOf(names: readonly string[]): { readonly line: FairLine<Waiter>; readonly entries: readonly Waiter[] } {
  const line = new FairLine<Waiter>();
  const entries = names.map((client, sequence) => ({ client, sequence }));
  for (const entry of entries) line.join(entry, false);
  return { line, entries };
}

function serveAll(line: FairLine<Waiter>): Waiter[] {
  const served: Waiter[] = [];
  for (let next = line.inOrder()[0]; next !== undefined; next = line.inOrder()[0]) {
    line.served(next);
    served.push(next);
  }
  return served;
}

describe("FairLine", () => {
  it("serves in the order that it has announced, each client's in the order of arrival", () => {
    fc.assert(
      fc.property(clients, (names) => {
        const { line, entries } = lineOf(names);
        const announced = line.inOrder();
        const ahead = entries.map((entry) => line.ahead(entry));
        const served = serveAll(line);
        expect(served).toEqual(announced);
        expect(entries.map((entry) => served.indexOf(entry))).toEqual(ahead);
        for (const name of names) {
          const own = served.filter((entry) => entry.client === name).map((entry) => entry.sequence);
          expect(own).toEqual([...own].sort((one, other) => one - other));
        }
        expect(line.size).toBe(0);
      }),
    );
  });

  it("serves nobody twice while another client waits", () => {
    fc.assert(
      fc.property(clients, (names) => {
        const { line } = lineOf(names);
        const left = new Map<string, number>();
        for (const name of names) left.set(name, (left.get(name) ?? 0) + 1);
        const since = new Map<string, Set<string>>();
        for (const { client } of serveAll(line)) {
          left.set(client, (left.get(client) ?? 0) - 1);
          for (const [other, count] of left) {
            if (other === client || count === 0) continue;
            const seen = since.get(other) ?? new Set<string>();
            expect(seen.has(client)).toBe(false);
            since.set(other, seen.add(client));
          }
          since.set(client, new Set());
        }
      }),
    );
  });

  it("gives who is tried again its place back and its client the next turn", () => {
    const { line, entries } = lineOf(["a", "b", "a", "c"]);
    const [first] = entries;
    if (first === undefined) throw new Error("there are four");
    line.served(first);
    line.join(first, true);
    expect(line.inOrder().map((entry) => entry.sequence)).toEqual([0, 1, 3, 2]);
  });

  it("pushes out the newest of the client that has most in it, and the newcomer when nobody has more than its client", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("a", "b", "c", "d"), { minLength: 1, maxLength: 40 }), (names) => {
        const { line, entries } = lineOf(names);
        const newcomer = entries.at(-1);
        if (newcomer === undefined) return;
        const countOf = (client: string): number => names.filter((name) => name === client).length;
        const out = line.pushedOutBy(newcomer);
        expect(countOf(out.client)).toBe(Math.max(...names.map(countOf)));
        if (countOf(newcomer.client) === countOf(out.client)) expect(out).toBe(newcomer);
        expect(out.sequence).toBe(Math.max(...entries.filter((entry) => entry.client === out.client).map((e) => e.sequence)));
      }),
    );
  });

  it("forgets who has left: no turn is lost or won by it", () => {
    const { line, entries } = lineOf(["a", "a", "b"]);
    for (const entry of entries.slice(0, 2)) expect(line.leave(entry)).toBe(true);
    expect(line.inOrder().map((entry) => entry.client)).toEqual(["b"]);
    expect(entries[0] === undefined ? true : line.leave(entries[0])).toBe(false);
  });
});
