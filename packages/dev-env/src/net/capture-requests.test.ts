import { describe, expect, it } from "vitest";
import { startFakeWorker } from "../fake-worker/start-fake-worker.ts";
import { captureRequests } from "./capture-requests.ts";
import { startRecordingServer } from "./recording-server.ts";

const isNews = ({ url }: { readonly url: string }): boolean => url === "/news";

describe("a request capture", () => {
  it("passes requests on and counts them with their status", async () => {
    await using server = await startRecordingServer();
    server.answer((request) => ({ status: 201, body: request.body }));
    await using capture = await captureRequests(server.url);
    const response = await fetch(`${capture.url}/news?x=1`, { method: "PUT", body: '{"a":1}' });
    expect([response.status, await response.json()]).toEqual([201, { a: 1 }]);
    expect(capture.requests).toMatchObject([{ method: "PUT", url: "/news?x=1", status: 201, dropped: false }]);
    expect([capture.count(({ method }) => method === "PUT"), capture.count(isNews)]).toEqual([1, 0]);
  });

  it("loses what a rule matches, and only while the rule lives", async () => {
    await using server = await startRecordingServer();
    await using capture = await captureRequests(server.url);
    const rule = capture.drop(isNews);
    await expect(fetch(`${capture.url}/news`)).rejects.toThrow();
    expect((await fetch(`${capture.url}/other`)).status).toBe(200);
    rule[Symbol.dispose]();
    expect((await fetch(`${capture.url}/news`)).status).toBe(200);
    expect(server.requests.map((request) => request.url)).toEqual(["/other", "/news"]);
  });

  it("loses only the answer when told so: the target has heard the request", async () => {
    await using server = await startRecordingServer();
    await using capture = await captureRequests(server.url);
    using _rule = capture.dropAnswers(isNews);
    await expect(fetch(`${capture.url}/news`)).rejects.toThrow();
    expect(server.requests.length).toBe(1);
    expect(capture.requests).toMatchObject([{ status: 200, dropped: false }]);
  });

  it("keeps an answer back until the rule is gone: the target has heard the request", async () => {
    await using server = await startRecordingServer();
    await using capture = await captureRequests(server.url);
    const rule = capture.holdAnswers(isNews);
    let status: number | null = null;
    const answered = fetch(`${capture.url}/news`).then((response) => {
      status = response.status;
    });
    expect((await fetch(`${capture.url}/other`)).status).toBe(200);
    await expect.poll(() => server.requests.length).toBe(2);
    expect(status).toBeNull();
    rule[Symbol.dispose]();
    await answered;
    expect(status).toBe(200);
  });

  it("passes a stream on piece by piece, and a client's leaving to the engine", async () => {
    await using worker = await startFakeWorker(["--token-rate", "20", "--tokens", "1000"]);
    await using capture = await captureRequests(worker.url);
    const leave = new AbortController();
    const body = JSON.stringify({ stream: true, messages: [] });
    const response = await fetch(`${capture.url}/v1/chat/completions`, { method: "POST", body, signal: leave.signal });
    const reader = response.body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toContain("data: ");
    leave.abort();
    await expect.poll(async () => (await worker.stats()).cancelled).toBe(1);
  });

  it("replaces an address in the bodies of requests when told so", async () => {
    await using server = await startRecordingServer();
    await using capture = await captureRequests(server.url, { rewrite: { from: "http://here", to: "http://elsewhere" } });
    const response = await fetch(capture.url, { method: "POST", body: '{"url":"http://here/x"}' });
    expect(response.status).toBe(200);
    expect(server.requests[0]?.body).toEqual({ url: "http://elsewhere/x" });
    expect((await fetch(`${capture.url}/news`)).status).toBe(200);
  });

  it("ends the connection when nobody is behind it, and finds the target at its new address", async () => {
    await using server = await startRecordingServer();
    await using capture = await captureRequests("http://127.0.0.1:9");
    await expect(fetch(`${capture.url}/news`)).rejects.toThrow();
    capture.retarget(server.url);
    expect((await fetch(`${capture.url}/news`)).status).toBe(200);
  });
});
