import { describe, expect, it } from "vitest";
import { Broadcast } from "./broadcast.ts";

describe("a broadcast", () => {
  it("reaches every listener in the order of subscription until each has left", () => {
    const heard: string[] = [];
    const broadcast = new Broadcast<number>();
    const first = broadcast.subscribe((value) => heard.push(`first ${value}`));
    broadcast.subscribe((value) => heard.push(`second ${value}`));
    broadcast.publish(1);
    first[Symbol.dispose]();
    broadcast.publish(2);
    expect([heard, broadcast.size]).toEqual([["first 1", "second 1", "second 2"], 1]);
  });

  it("goes on to the others when one listener throws", () => {
    const heard: number[] = [];
    const errors: unknown[] = [];
    const fault = new Error("bad listener");
    const broadcast = new Broadcast<number>((error) => errors.push(error));
    broadcast.subscribe(() => {
      throw fault;
    });
    broadcast.subscribe((value) => heard.push(value));
    broadcast.publish(7);
    expect([heard, errors]).toEqual([[7], [fault]]);
  });

  it("does not call a listener that another one has just removed", () => {
    const heard: string[] = [];
    const broadcast = new Broadcast<number>();
    broadcast.subscribe(() => second[Symbol.dispose]());
    const second = broadcast.subscribe(() => heard.push("second"));
    broadcast.publish(1);
    expect(heard).toEqual([]);
  });
});
