import type { Clock, Handler, Metrics } from "@queen-and-hive/daemon";
import type {
  CallbackAnswer,
  HiveReady,
  HiveRecord,
  ModelRecord,
  OpenRequest,
  QUEEN_ENDPOINTS,
  QueenShutdown,
  QueenShutdownAnswer,
  WorkerExited,
  WorkerReady,
  WorkerRecord,
} from "@queen-and-hive/protocol";
import type { ModelSettings } from "../config/settings.ts";
import type { HiveOrders } from "../hives/hive-orders.ts";
import type { Store } from "../store/store.ts";
import type { Identity } from "./identity.ts";

/** What the queen is doing as a whole. */
export type QueenPhase = "serving" | "stopping";

/** A model as clients see it. */
export type ServedModel = Pick<ModelSettings, "id" | "aliases" | "task" | "created">;

/** What the HTTP handlers may ask of the queen. */
export interface QueenView {
  readonly queenId: string;
  readonly queenEpoch: number;
  readonly version: string;
  /** Every model that clients may ask for, those of upstreams too. */
  models(): readonly ServedModel[];
  phase(): QueenPhase;
  statusOf(modelId: string): NonNullable<ModelRecord["status"]>;
  /** The hives and `upstream:<id>`s that can serve a model now. */
  whereIs(modelId: string): readonly string[];
  /** The tokens that fit into a request, where a loaded engine has said so. */
  contextLengthOf(modelId: string): Promise<number | null>;
  hives(): readonly HiveRecord[];
  /** What operators may order of hives. */
  readonly orders: HiveOrders;
  workers(): readonly WorkerRecord[];
  /** The state of each upstream. */
  upstreams(): readonly ("up" | "down")[];
  hiveReady(hiveId: string, message: HiveReady): CallbackAnswer;
  workerReady(hiveId: string, message: WorkerReady): CallbackAnswer;
  workerExited(hiveId: string, message: WorkerExited): CallbackAnswer;
  requests(): readonly OpenRequest[];
  /** Ends the open requests of this id; says how many they were. */
  cancelRequest(requestId: string): number;
  /** The stop cascade; every caller gets the fates of the one that runs. */
  shutdown(hives: QueenShutdown["hives"], actor: string): Promise<QueenShutdownAnswer>;
  readonly store: Store;
  readonly metrics: Metrics;
  readonly clock: Clock;
}

type Endpoints = typeof QUEEN_ENDPOINTS;

/** The handler of one endpoint of the queen. */
export type QueenHandler<Name extends keyof Endpoints> = Handler<Endpoints[Name], Identity>;
