import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import type { ErrorKind } from "./errors.ts";

/** Who may call an endpoint; the server turns it into a check. */
export type Caller =
  | "anyone"
  /** A client with an inference key (none asked for while no keys are set). */
  | "client"
  /** An operator with the read role. */
  | "reader"
  /** An operator with the operate or admin role. */
  | "operator"
  /** A hive with that hive's token, towards the queen. */
  | "hive"
  /** The owning queen with the hive's token, towards the hive. */
  | "queen"
  /** A worker with the token of its (worker, incarnation). */
  | "worker";

/** What the answer of an endpoint is: one JSON body, a stream of SSE events, or bytes passed on. */
export type ResponseForm = "json" | "sse" | "text" | "passthrough";

/** A JSON Schema object (draft 2020-12 without references). */
export type JsonSchema = Readonly<Record<string, unknown>>;

declare const described: unique symbol;

/**
 * A schema that carries the type of the values it describes, so that the endpoint tables need not derive it again: the
 * compiler would spend minutes on the deep ones.
 */
export type TypedSchema<T> = JsonSchema & { readonly [described]: T };

/** Says once which type a schema describes; the type beside it is derived from that same schema. */
export function typed<T>(schema: JsonSchema): TypedSchema<T> {
  // The mark exists for the compiler only.
  return schema as TypedSchema<T>;
}

/** One row of the endpoint table; server, typed client, reference docs and tests read it. */
export interface EndpointDefinition {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** Express-style path: `/v1/workers/:worker_id`. */
  readonly path: string;
  readonly caller: Caller;
  /** One sentence for the reference docs. */
  readonly summary: string;
  /** Schema of the JSON body; absent means that no body is read. */
  readonly request?: JsonSchema;
  /** Schema of the query parameters (all values are strings). */
  readonly query?: JsonSchema;
  /** Schema of the JSON answer, when `form` is `json`. */
  readonly response?: JsonSchema;
  readonly form: ResponseForm;
  /** The status of success. */
  readonly status: number;
  /**
   * Who sends bodies: `peer` ignores and counts unknown fields (versions N-1 and N work together),
   * `person` refuses them, `openai` passes them through.
   */
  readonly unknownFields: "peer" | "person" | "openai";
  readonly errors: readonly ErrorKind[];
}

/** An endpoint table: name -> row. */
export type EndpointTable = Readonly<Record<string, EndpointDefinition>>;

/** Keeps literal types while checking the rows. */
export function defineEndpoints<const Table extends EndpointTable>(table: Table): Table {
  return table;
}

/** The type of a row's JSON request body; undefined when it reads none. */
export type RequestOf<Row> = Row extends { readonly request: infer Schema } ? Described<Schema> : undefined;

/** The type of a row's query parameters; an empty object when it has none. */
export type QueryOf<Row> = Row extends { readonly query: infer Schema } ? Described<Schema> : Record<never, never>;

/** The type of a row's JSON answer; unknown when it has no schema. */
export type ResponseOf<Row> = Row extends { readonly response: infer Schema } ? Described<Schema> : unknown;

type Described<Schema> = Schema extends { readonly [described]: infer T }
  ? T
  : Schema extends JSONSchema
    ? FromSchema<Schema>
    : unknown;

/** The path parameters of a row: `/v1/workers/:worker_id` -> `{ worker_id: string }`. */
export type ParamsOf<Row> = Row extends { readonly path: infer Path extends string }
  ? { readonly [Name in ParamNames<Path>]: string }
  : never;

type ParamNames<Path extends string> = Path extends `${infer Head}/${infer Tail}`
  ? ParamNames<Head> | ParamNames<Tail>
  : Path extends `:${infer Name}`
    ? Name
    : never;
