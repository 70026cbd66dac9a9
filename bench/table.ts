/** One line of a bench table: what, how much, at most how much is aimed at, over how many samples. */
export interface Row {
  /** For programs; stays the same when the words change. */
  readonly id: string;
  readonly what: string;
  readonly value: number;
  readonly unit: "ms" | "us" | "MB" | "MB/s" | "%" | "requests" | "processes" | "per second" | "descriptors" | "times";
  /** The most that this may be, in the same unit; null where a row is there for comparison. */
  readonly atMost: number | null;
  /** The least that this has to be, where that is what counts. */
  readonly atLeast?: number;
  readonly samples: number;
}

/** Rows as a Markdown table, so that what a terminal shows can stand in a page as it is. */
export function tableOf(rows: readonly Row[]): string {
  const cells = [
    ["what", "figure", "aim", "holds", "samples"],
    ...rows.map((row) => [row.what, figureOf(row.value, row.unit), aimOf(row), holds(row), String(row.samples)]),
  ];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...cells.map((line) => (line[column] ?? "").length)));
  const line = (parts: readonly string[]): string =>
    `| ${parts.map((part, column) => part.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const [head = [], ...body] = cells;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...body.map(line)].join("\n");
}

function aimOf({ atMost, atLeast, unit }: Row): string {
  if (atLeast !== undefined) return `>= ${atLeast} ${unit}`;
  return atMost === null ? "" : `<= ${atMost} ${unit}`;
}

function holds({ value, atMost, atLeast }: Row): string {
  if (atLeast !== undefined) return value >= atLeast ? "yes" : "NO";
  if (atMost === null) return "";
  return value <= atMost ? "yes" : "NO";
}

/** With as many digits as mean something. */
function figureOf(value: number, unit: Row["unit"]): string {
  if (unit === "requests" || unit === "processes" || unit === "descriptors") return `${value} ${unit}`;
  return `${value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0)} ${unit}`;
}
