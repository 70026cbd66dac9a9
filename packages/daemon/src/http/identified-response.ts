import { type IncomingMessage, type OutgoingHttpHeader, type OutgoingHttpHeaders, ServerResponse } from "node:http";
import { requestIdOf } from "./request-id.ts";

/** Headers as `writeHead` takes them. */
type Headers = OutgoingHttpHeaders | OutgoingHttpHeader[];

/**
 * An answer that says its request's id, whoever writes its head. Who gives all headers to `writeHead`, the id among them, saves
 * Node the list that it keeps of headers which were set one by one; `getHeader` knows none of them then.
 */
export class IdentifiedResponse<Request extends IncomingMessage = IncomingMessage> extends ServerResponse<Request> {
  override writeHead(status: number, reason?: string, headers?: Headers): this;
  override writeHead(status: number, headers?: Headers): this;
  override writeHead(status: number, second?: string | Headers, third?: Headers): this {
    const headers = typeof second === "string" ? third : second;
    const isSaid = headers !== undefined && !Array.isArray(headers) && headers["x-request-id"] !== undefined;
    if (!isSaid) this.setHeader("x-request-id", requestIdOf(this.req));
    return typeof second === "string" ? super.writeHead(status, second, third) : super.writeHead(status, second);
  }
}
