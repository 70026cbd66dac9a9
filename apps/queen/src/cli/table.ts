/** Rows of texts -> aligned columns for people; the first row is the heading. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** A line of a table that is too long for a terminal. */
const CUT = "…";

/** Cuts every line of a text to the columns of a terminal. */
export function cutLines(text: string, columns: number): string {
  return text
    .split("\n")
    .map((line) => (line.length > columns ? `${line.slice(0, columns - 1)}${CUT}` : line))
    .join("\n");
}

/** The narrowest column that text is wrapped to. */
const NARROWEST = 20;

/** A text as lines of whole words that fit into so many columns; a longer word stays whole. */
export function wrap(text: string, columns: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > Math.max(NARROWEST, columns)) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
