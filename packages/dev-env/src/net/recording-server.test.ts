import { describe, expect, it } from "vitest";
import { temporaryDirectory } from "../files/temporary-directory.ts";
import { isPortFree } from "./free-port.ts";
import { startRecordingServer } from "./recording-server.ts";

const post = (url: string, body: unknown): Promise<Response> => fetch(url, { method: "POST", body: JSON.stringify(body) });

describe("a recording server", () => {
  it("writes down what it is asked and answers as told", async () => {
    await using server = await startRecordingServer();
    server.answer((request, index) => ({ status: 200 + index, body: { got: request.body } }));
    const first = await post(`${server.url}/a?b=c`, { one: 1 });
    const second = await post(`${server.url}/d`, "text");
    expect([first.status, await first.json(), second.status]).toEqual([200, { got: { one: 1 } }, 201]);
    const [recorded] = await server.received(2);
    expect(recorded).toMatchObject({ method: "POST", url: "/a?b=c", body: { one: 1 } });
    expect((await server.received(1, (request) => request.url === "/d")).length).toBe(1);
  });

  it("cuts the connection when told to drop", async () => {
    await using server = await startRecordingServer();
    server.answer(() => "drop");
    await expect(post(server.url, {})).rejects.toThrow();
    expect(server.requests.length).toBe(1);
  });

  it("is not there after leaving and is back on the same port after coming back", async () => {
    await using server = await startRecordingServer();
    await server.leave();
    await expect(post(server.url, {})).rejects.toThrow();
    expect(await isPortFree(server.port)).toBe(true);
    await server.comeBack();
    expect((await post(server.url, {})).status).toBe(200);
  });

  it("listens on a Unix socket", async () => {
    await using folder = await temporaryDirectory();
    await using server = await startRecordingServer({ path: folder.join("s.sock") });
    expect(server.url).toBe(`unix:${folder.join("s.sock")}`);
  });
});
