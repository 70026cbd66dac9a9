import { expect, it } from "vitest";
import { ProgressLines, progressBar } from "./progress-lines.ts";

function screen(isTerminal: boolean, columns = 80) {
  let text = "";
  return { isTerminal, columns, write: (more: string) => (text += more), text: () => text };
}

it("prints a line for each news where there is no terminal", () => {
  const paper = screen(false);
  const lines = new ProgressLines(paper);
  lines.set("one", "starting");
  lines.set("two", "starting");
  lines.set("two", "starting");
  lines.set("one", "running");
  expect(paper.text()).toBe("one: starting\ntwo: starting\none: running\n");
});

it("changes lines in place on a terminal and never lets one wrap", () => {
  const terminal = screen(true, 20);
  const lines = new ProgressLines(terminal);
  lines.set("a", "starting");
  lines.set("long", "a text that is wider than the terminal");
  const [first, second] = terminal.text().split("\u001b[1A");
  expect(first).toBe("a  starting\u001b[K\n");
  expect(second).toBe("a     starting\u001b[K\nlong  a text that i…\u001b[K\n");
  lines.set("a", "running");
  expect(terminal.text().endsWith("\u001b[2Aa     running\u001b[K\nlong  a text that i…\u001b[K\n")).toBe(true);
});

it("says whole, at the end, what did not fit into its line, where that was cut", () => {
  const terminal = screen(true, 20);
  const lines = new ProgressLines(terminal);
  lines.set("a", "running");
  lines.set("b", "cannot start: a long reason with what to do");
  const before = terminal.text();
  lines.end();
  expect(terminal.text().slice(before.length)).toBe("\nb: cannot start: a long reason with what to do\n");
  const paper = screen(false);
  const printed = new ProgressLines(paper);
  printed.set("b", "cannot start: a long reason with what to do");
  printed.end();
  expect(paper.text()).toBe("b: cannot start: a long reason with what to do\n");
});

it("draws how much is done, and counts an empty upload as whole", () => {
  expect(progressBar(0, 0)).toBe("[####################] 100 % of 0B");
  expect(progressBar(1, 3)).toBe("[######..............]  33 % of 3B");
});
