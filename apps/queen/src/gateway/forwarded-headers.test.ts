import { describe, expect, it } from "vitest";
import { headersForClient, headersForEngine } from "./forwarded-headers.ts";

const body = { bytes: 34, contentType: "application/json" };

describe("headersForEngine", () => {
  it("gives the engine its own key and never the client's secrets or connection", () => {
    const headers = headersForEngine(
      {
        authorization: "Bearer client",
        cookie: "a=b",
        "x-api-key": "client",
        host: "queen",
        connection: "keep-alive, x-secret-hop",
        "x-secret-hop": "1",
        "content-length": "12",
        "transfer-encoding": "chunked",
        "accept-encoding": "gzip",
        "sec-fetch-site": "same-origin",
        "x-request-id": "from-client",
        accept: "text/event-stream",
        "user-agent": "test",
        "x-session-id": "bees",
        "x-engine-note": "1",
      },
      { requestId: "req-1", key: "engine", body, dialect: "openai" },
    );
    expect(headers).toEqual({
      "content-type": "application/json",
      "content-length": "34",
      "x-request-id": "req-1",
      "accept-encoding": "identity",
      accept: "text/event-stream",
      "user-agent": "test",
      "x-session-id": "bees",
      "x-engine-note": "1",
      authorization: "Bearer engine",
    });
  });

  it("does not tell an engine, which may be a cloud, where the client is, in whatever words a proxy has said it", () => {
    const names = [
      ...[
        "forwarded",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-port",
        "x-forwarded-server",
      ],
      ...[
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-original-forwarded-for",
        "x-original-host",
        "x-envoy-external-address",
      ],
      ...[
        "true-client-ip",
        "cf-connecting-ip",
        "cf-connecting-ipv6",
        "cf-ipcountry",
        "cf-ray",
        "fastly-client-ip",
        "fly-client-ip",
      ],
    ];
    const client = Object.fromEntries(names.map((name) => [name, "192.0.2.7"]));
    const headers = headersForEngine(client, { requestId: "req-1", key: null, body, dialect: "openai" });
    expect(Object.keys(headers).sort()).toEqual(["accept-encoding", "content-length", "content-type", "x-request-id"]);
  });

  it("sends no authorization to an engine without a key", () => {
    const client = { authorization: "Bearer client", "x-api-key": "client" };
    const headers = headersForEngine(client, { requestId: "req-1", key: null, body, dialect: "anthropic" });
    expect(headers).not.toHaveProperty("authorization");
    expect(headers).not.toHaveProperty("x-api-key");
  });

  it("shows the key as Anthropic's API wants it on Anthropic's route", () => {
    const headers = headersForEngine(
      { "x-api-key": "client" },
      { requestId: "req-1", key: "engine", body, dialect: "anthropic" },
    );
    expect(headers).toMatchObject({ authorization: "Bearer engine", "x-api-key": "engine" });
  });
});

describe("headersForClient", () => {
  it("keeps what describes the answer and drops the engine's connection and its leave for other sites", () => {
    const headers = headersForClient({
      "content-type": "text/event-stream",
      "access-control-allow-origin": "*",
      "access-control-expose-headers": "*",
      connection: "keep-alive",
      "keep-alive": "timeout=5",
      "content-length": "5",
      server: "engine",
      "x-engine-note": ["a", "b"],
    });
    expect(headers).toEqual({ "content-type": "text/event-stream", "x-engine-note": ["a", "b"] });
  });
});
