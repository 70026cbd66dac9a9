import { defineEndpoints, typed } from "./endpoint.ts";
import { type CancelAnswer, cancelAnswerSchema, type OpenRequestList, openRequestListSchema } from "./messages/open-request.ts";

/** What operators ask of requests; part of the queen's table. */
export const QUEEN_REQUEST_ENDPOINTS = defineEndpoints({
  listRequests: {
    method: "GET",
    path: "/v2/requests",
    caller: "reader",
    summary: "Every request that has arrived and not ended, oldest first.",
    response: typed<OpenRequestList>(openRequestListSchema),
    form: "json",
    status: 200,
    unknownFields: "person",
    errors: ["unauthenticated", "forbidden"],
  },
  deleteRequest: {
    method: "DELETE",
    path: "/v2/requests/:request_id",
    caller: "operator",
    summary: "Ends an open request: its client gets a well-formed error, its engine stops working for it.",
    response: typed<CancelAnswer>(cancelAnswerSchema),
    form: "json",
    status: 200,
    unknownFields: "person",
    errors: ["unauthenticated", "forbidden", "request_not_found"],
  },
});
