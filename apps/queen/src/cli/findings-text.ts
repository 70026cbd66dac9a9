import type { HiveFinding } from "@queen-and-hive/protocol";
import { wrap } from "./table.ts";

/** How a level is written: what stops a hive stands out. */
const LEVELS: Readonly<Record<HiveFinding["level"], string>> = { ok: "ok  ", warn: "warn", fail: "FAIL" };

/** Findings for people: a line each, with what to do below it, wrapped to the terminal. */
export function formatFindings(title: string, findings: readonly HiveFinding[], columns: number): string {
  const width = Math.max(0, ...findings.map(({ check }) => check.length));
  const lines = findings.flatMap(({ check, level, found, advice }) => {
    const head = `  ${LEVELS[level]}  ${check.padEnd(width)}  `;
    const indent = " ".repeat(head.length);
    const what = wrap(found, columns - head.length);
    const then = advice === null ? [] : wrap(`-> ${advice}`, columns - head.length);
    return [...what, ...then].map((line, index) => `${index === 0 ? head : indent}${line}`);
  });
  return [`${title}: ${summary(findings)}`, ...lines].join("\n");
}

function summary(findings: readonly HiveFinding[]): string {
  const fails = findings.filter(({ level }) => level === "fail").length;
  const warnings = findings.filter(({ level }) => level === "warn").length;
  const parts = [
    ...(fails === 0 ? [] : [`${fails} to mend before it can start`]),
    ...(warnings === 0 ? [] : [`${warnings} ${warnings === 1 ? "warning" : "warnings"}`]),
  ];
  return parts.length === 0 ? "all is well" : parts.join(", ");
}
