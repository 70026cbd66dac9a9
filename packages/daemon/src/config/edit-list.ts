import { isDeepStrictEqual } from "node:util";
import { QhError } from "@queen-and-hive/protocol";
import { type Document, isMap, isSeq, type Node, parseDocument, stringify, type YAMLMap, type YAMLSeq } from "yaml";

/** An entry of a list in a configuration file. */
export type ListEntry = Readonly<Record<string, unknown>>;

/**
 * Adds an entry to a list of a YAML text and leaves everything else as it was written, comments too. `whenAbsent` are the
 * entries that the list has by default: a file that names the list no longer gets those. Throws `invalid_config`.
 */
export function addToList(text: string, list: string, entry: ListEntry, whenAbsent: readonly ListEntry[]): string {
  const document = parse(text);
  const node = listOf(document, list);
  const wanted = { ...contentsOf(document), [list]: [...(node === null ? whenAbsent : entriesOf(node)), entry] };
  const last = node?.items.at(-1);
  if (node === null) {
    const end = text === "" || text.endsWith("\n") ? "" : "\n";
    return checked(`${text}${end}${stringify({ [list]: [...whenAbsent, entry] })}`, wanted) ?? rewritten(document, wanted);
  }
  if (node.flow !== true && isMap(last)) {
    const end = endOfLine(text, rangeOf(last).end);
    const added = indented(entry, indentOf(text, rangeOf(last).start));
    const edited = checked(`${text.slice(0, end)}\n${added}${text.slice(end)}`, wanted);
    if (edited !== null) return edited;
  }
  node.add(document.createNode(entry));
  return checked(document.toString(WRITING), wanted) ?? rewritten(document, wanted);
}

/**
 * Removes the entry with an id from a list of a YAML text, and leaves everything else as it was written. Null when there is
 * no such entry. Throws `invalid_config`.
 */
export function removeFromList(text: string, list: string, id: string): string | null {
  const document = parse(text);
  const node = listOf(document, list);
  const index = node?.items.findIndex((item) => isMap(item) && item.get("id") === id) ?? -1;
  const item = node?.items[index];
  if (node === null || !isMap(item)) return null;
  const wanted = { ...contentsOf(document), [list]: entriesOf(node).filter((_, at) => at !== index) };
  if (node.flow !== true && node.items.length > 1) {
    const { start, end } = rangeOf(item);
    const edited = checked(`${text.slice(0, startOfLine(text, start))}${text.slice(endOfLine(text, end) + 1)}`, wanted);
    if (edited !== null) return edited;
  }
  node.delete(index);
  if (node.items.length === 0) node.flow = true;
  return checked(document.toString(WRITING), wanted) ?? rewritten(document, wanted);
}

const WRITING = { lineWidth: 0 } as const;

function parse(text: string): Document.Parsed {
  const document = parseDocument(text);
  const [problem] = document.errors;
  if (problem !== undefined) throw new QhError("invalid_config", `cannot change the configuration file: ${problem.message}`);
  return document;
}

function listOf(document: Document.Parsed, list: string): YAMLSeq | null {
  const node = isMap(document.contents) ? document.contents.get(list, true) : undefined;
  return isSeq(node) ? node : null;
}

function contentsOf(document: Document.Parsed): Readonly<Record<string, unknown>> {
  const value: unknown = document.toJS();
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function entriesOf(list: YAMLSeq): readonly unknown[] {
  const value: unknown = list.toJSON();
  return Array.isArray(value) ? value : [];
}

/** The edited text when it means what was wanted; a cut at the wrong place is never written. */
function checked(text: string, wanted: Readonly<Record<string, unknown>>): string | null {
  const document = parseDocument(text);
  return document.errors.length === 0 && isDeepStrictEqual(contentsOf(document), wanted) ? text : null;
}

function rewritten(document: Document.Parsed, wanted: Readonly<Record<string, unknown>>): string {
  const comment = document.commentBefore === null ? "" : `#${document.commentBefore.replaceAll("\n", "\n#")}\n`;
  return `${comment}${stringify(wanted, WRITING)}`;
}

function rangeOf(node: YAMLMap | Node): { readonly start: number; readonly end: number } {
  const [start, end] = node.range ?? [0, 0];
  return { start, end };
}

function startOfLine(text: string, offset: number): number {
  return text.lastIndexOf("\n", offset - 1) + 1;
}

/** The end of the line on which a node's last visible sign stands. */
function endOfLine(text: string, offset: number): number {
  const visible = text.slice(0, offset).trimEnd().length;
  const end = text.indexOf("\n", visible);
  return end === -1 ? text.length : end;
}

function indentOf(text: string, offset: number): string {
  const line = text.slice(startOfLine(text, offset), offset);
  return /^\s*/.exec(line)?.[0] ?? "";
}

function indented(entry: ListEntry, indent: string): string {
  const lines = stringify([entry], WRITING).trimEnd().split("\n");
  return lines.map((line) => `${indent}${line}`).join("\n");
}
