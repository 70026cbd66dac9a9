import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import type { JsonSchema } from "./endpoint.ts";
import { type ErrorKind, QhError } from "./errors.ts";

/** How a validator treats fields that the schema does not name. */
export type UnknownFields = "refuse" | "ignore";

/** The outcome of a check: the value as its type, or what is wrong with it. */
export type Checked<T> =
  | { readonly ok: true; readonly value: T; readonly unknownFieldCount: number }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** One thing that is wrong with a value. */
export interface Problem {
  /** JSON pointer to the place, "" for the whole value. */
  readonly path: string;
  /** What was expected there, as a phrase: `must be integer`. */
  readonly expected: string;
}

/** A compiled check of values of type T. */
export type Validator<T> = (value: unknown) => Checked<T>;

// A discriminated union requires its tag outside the branches that define it, which strictRequired calls a mistake. Whether
// the schemas are schemas is for the tests to check; that and the optimiser are most of what a compilation costs at a start.
const ajv = new Ajv({
  allErrors: true,
  strict: true,
  strictRequired: false,
  allowUnionTypes: true,
  discriminator: true,
  meta: false,
  validateSchema: false,
  code: { optimize: false },
});

/** The same as {@link compileValidator}, compiled at its first use: a start does not pay for messages that never come. */
export function lazyValidator<T>(schema: JsonSchema, unknownFields: UnknownFields): Validator<T> {
  let validate: Validator<T> | null = null;
  return (value) => {
    validate ??= compileValidator<T>(schema, unknownFields);
    return validate(value);
  };
}

/**
 * Compiles a schema once. With `ignore`, fields that a closed object (`additionalProperties: false`) does not name are
 * not an error: they are removed from a copy and counted. Never mutates its input.
 */
export function compileValidator<T>(schema: JsonSchema, unknownFields: UnknownFields): Validator<T> {
  const validate: ValidateFunction<T> = ajv.compile<T>(schema);
  if (unknownFields === "refuse") {
    return (value) =>
      validate(value) ? { ok: true, value, unknownFieldCount: 0 } : { ok: false, problems: problemsOf(validate.errors) };
  }
  return (value) => {
    if (validate(value)) return { ok: true, value, unknownFieldCount: 0 };
    const unknown = (validate.errors ?? []).filter((error) => error.keyword === "additionalProperties");
    if (unknown.length === 0) return { ok: false, problems: problemsOf(validate.errors) };
    const copy: unknown = structuredClone(value);
    for (const error of unknown) removeField(copy, error);
    return validate(copy)
      ? { ok: true, value: copy, unknownFieldCount: unknown.length }
      : { ok: false, problems: problemsOf(validate.errors) };
  };
}

/** Throws a QhError of `kind` that names every problem of a failed check; returns the value of a passed one. */
export function valueOrThrow<T>(checked: Checked<T>, kind: ErrorKind, what: string): T {
  if (checked.ok) return checked.value;
  const first = checked.problems[0];
  throw new QhError(kind, `cannot accept ${what}: ${describeProblems(checked.problems)}`, {
    ...(first === undefined ? {} : { param: first.path }),
    details: { problems: checked.problems },
  });
}

/** Problems as one line: `/spec/slots must be integer; /spec must have property "model"`. */
export function describeProblems(problems: readonly Problem[]): string {
  const shown = problems.slice(0, 5).map((problem) => `${problem.path === "" ? "the body" : problem.path} ${problem.expected}`);
  const rest = problems.length - shown.length;
  return shown.join("; ") + (rest > 0 ? `; and ${rest} more` : "");
}

function problemsOf(errors: readonly ErrorObject[] | null | undefined): readonly Problem[] {
  return (errors ?? []).map((error) => ({ path: error.instancePath, expected: phraseOf(error) }));
}

function phraseOf(error: ErrorObject): string {
  const params: Readonly<Record<string, unknown>> = error.params;
  switch (error.keyword) {
    case "additionalProperties":
      return `must not have the unknown field ${JSON.stringify(params["additionalProperty"])}`;
    case "required":
      return `must have the field ${JSON.stringify(params["missingProperty"])}`;
    case "enum":
      return `must be one of ${JSON.stringify(params["allowedValues"])}`;
    case "const":
      return `must be ${JSON.stringify(params["allowedValue"])}`;
    default:
      return error.message ?? `fails ${error.keyword}`;
  }
}

function removeField(root: unknown, error: ErrorObject): void {
  let place: unknown = root;
  for (const part of error.instancePath.split("/").slice(1)) {
    if (!isRecord(place)) return;
    place = place[part.replaceAll("~1", "/").replaceAll("~0", "~")];
  }
  const field: unknown = (error.params as Readonly<Record<string, unknown>>)["additionalProperty"];
  if (isRecord(place) && typeof field === "string") delete place[field];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
