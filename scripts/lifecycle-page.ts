// What the pages of our life cycles share: a diagram and a table, made from the transitions that the machine itself gave.

/** One row of a transition table. */
export interface Transition {
  readonly from: string;
  readonly event: string;
  readonly to: string;
  readonly effects: ReadonlySet<string>;
}

/** Rows that grow while a machine is explored: the same arrow for the same event is one row, with all of its effects. */
export class TransitionRows {
  readonly #rows = new Map<string, Transition & { readonly effects: Set<string> }>();

  add(from: string, event: string, to: string, effects: readonly string[]): void {
    const key = JSON.stringify([from, event, to]);
    const known = this.#rows.get(key) ?? { from, event, to, effects: new Set() };
    for (const effect of effects) known.effects.add(effect);
    this.#rows.set(key, known);
  }

  /** In the order of the states. */
  sorted(order: readonly string[]): readonly Transition[] {
    return [...this.#rows.values()].sort((one, other) => order.indexOf(one.from) - order.indexOf(other.from));
  }
}

/** The diagram and the table. `who` does the effects. */
export function lifecycleLines(transitions: readonly Transition[], first: string, last: string, who: string): readonly string[] {
  return [
    "```mermaid",
    "stateDiagram-v2",
    `  [*] --> ${first}`,
    ...diagramLines(transitions),
    `  ${last} --> [*]`,
    "```\n",
    `| from | event | to | what the ${who} does then |`,
    "| --- | --- | --- | --- |",
    ...transitions.map(
      ({ from, event, to, effects }) =>
        `| ${from} | \`${event}\` | ${to} | ${[...effects].map((effect) => `\`${effect}\``).join(" ")} |`,
    ),
    "",
  ];
}

/** One arrow per pair of states, with all events that lead along it. */
function diagramLines(transitions: readonly Transition[]): readonly string[] {
  const arrows = new Map<string, Set<string>>();
  for (const { from, event, to } of transitions) {
    if (from === to) continue;
    const arrow = `  ${from} --> ${to}`;
    arrows.set(arrow, (arrows.get(arrow) ?? new Set()).add(event));
  }
  return [...arrows].map(([arrow, events]) => `${arrow}: ${[...events].join(", ")}`);
}
