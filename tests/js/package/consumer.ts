// What applications write in TypeScript: checked with --strict, never run.

import { ClientError, ErrorCode, HotsockClient, decodeTime } from "chatsite-client";

const client = new HotsockClient("wss://chat.example.org/v1", {
  connectTokenFn: async () => (await fetch("/token", { method: "POST" })).text(),
});
new HotsockClient(new URL("wss://chat.example.org/v1"), {
  connectTokenFn: () => "token",
  connectTokenFnMaxAttempts: Infinity,
  connectTokenErrorFn: (error) => console.warn(error.message, error.cause),
  heartbeatIntervalSeconds: 0,
  lazyConnection: true,
  logLevel: "silent",
  WebSocket,
});

// @ts-expect-error connectTokenFn is needed
new HotsockClient("wss://chat.example.org/v1", {});
// @ts-expect-error no such level
new HotsockClient("wss://chat.example.org/v1", { connectTokenFn: () => "", logLevel: "loud" });

const binding = client.bind("message", ({ id, channel, data, meta }) => {
  const time: number = decodeTime(id ?? "");
  console.log(time, channel, data, meta?.uid);
  // @ts-expect-error data may be anything
  data.text;
}, { channel: "team" });
client.bind(/^hotsock\./, ({ event, position, error }) => {
  const number: number = position ?? 0;
  const ack: string = error?.ack ?? "";
  console.log(event, number + 1, error?.code, ack.length);
});
client.bind("@@connect", ({ type }) => console.log(type));
client.bind("@@disconnect", ({ code, reason }) => console.log(code + 1, reason.length));
client.bind("@@error", (error) => {
  const isFull: boolean = error.code === ErrorCode.QUEUE_FULL;
  console.log(error instanceof ClientError, isFull, error.channel ?? "none");
});
client.bind("@@messageSent", (text) => text.length);
// @ts-expect-error a string has no event
client.bind("@@messageSent", (text) => text.event);
binding.unbind();

const team = client.channels("team");
team.subscribeTokenFn = async ({ channel, connectionId }) => `${channel} ${connectionId}`;
team.bind("hotsock.subscribed", () => console.log(team.uid, team.members.map(({ uid }) => uid)));
team.sendMessage("message", { data: { any: ["JSON"] } });
// @ts-expect-error an event has a name
team.sendMessage({ data: "no event" });

const follower = team.follow({
  event: "message",
  since: { position: 3, epoch: "e", id: "01J" },
  onMessage: ({ id, data, reactions }) => console.log(id.length, data, reactions?.["👍"].count),
  onReaction: ({ messageId, action }) => console.log(messageId, action === "add"),
  onCaughtUp: ({ count, jumped }) => console.log(count + 1, jumped),
});
// @ts-expect-error no such state
console.log(follower.position?.id, follower.state === "online");
follower.stop();
team.follow().stop();
for await (const { id } of team.history({ limit: 20, expandReactions: true })) console.log(id);
// @ts-expect-error ids are strings
team.history({ after: 1 });
team.occupancy((count) => console.log(count + 1))();

const { connectionId, connectionSecret } = client.activeConnection ?? {};
console.log(connectionId, connectionSecret, client.state === "connected");
// @ts-expect-error no such state
console.log(client.state === "online");
client.unbind("message", { channel: "team" });
client.clearBindings();
client.suspend();
client.resume();
client.terminate();
