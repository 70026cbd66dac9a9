/** One line of a bench table: what, how much, how much is aimed at, over how many samples. */
export interface Row {
  readonly what: string;
  readonly figure: string;
  readonly aim: string;
  readonly samples: number;
}

/** Prints rows as a Markdown table, so that what a terminal shows can stand in a page as it is. */
export function printTable(title: string, rows: readonly Row[]): void {
  const cells = [
    ["what", "figure", "aim", "samples"],
    ...rows.map((row) => [row.what, row.figure, row.aim, String(row.samples)]),
  ];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...cells.map((line) => (line[column] ?? "").length)));
  const line = (parts: readonly string[]): string =>
    `| ${parts.map((part, column) => part.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const [head = [], ...body] = cells;
  console.log(`\n## ${title}\n`);
  console.log([line(head), line(widths.map((width) => "-".repeat(width))), ...body.map(line)].join("\n"));
}
