// Frames that the demo's token forbids, to see them refused. Pure.

const OVERSIZE = 32 * 1024 + 1; // bytes: one more than a message may have (protocol.md section 2)

/**
 * Each: a name, why it is refused, and the frame, from `chat`: {channel, messageId()}; null: not now.
 * @type {{name: string, why: string, frame: function(object): ?object}[]}
 */
export const TRIALS = [
  {
    name: "Publish another event",
    why: "The token names the events that may be published; this is none of them.",
    frame: ({ channel }) => ({ event: "announcement", channel, data: "Hear, hear!" }),
  },
  {
    name: "Publish in another chat",
    why: "The token is for this chat’s channel alone.",
    frame: ({ channel }) => ({ event: "chat", channel: `${channel}-next-door`, data: "Hello?" }),
  },
  {
    name: "Listen to another chat",
    why: "The token is for this chat’s channel alone.",
    frame: ({ channel }) => ({ event: "hotsock.subscribe", channel: `${channel}-next-door` }),
  },
  {
    name: "React with a reaction of one’s own",
    why: "The token names four reactions; 🔥 is none of them. It takes a message to react to.",
    frame({ channel, messageId }) {
      const data = { messageId: messageId(), reaction: "🔥", action: "add" };
      return data.messageId ? { event: "hotsock.messageReaction", channel, data } : null;
    },
  },
  {
    name: "Store a value in the channel",
    why: "The token has no storage.",
    frame: ({ channel }) => ({ event: "hotsock.channelStorageSet", channel, key: "topic", data: "x" }),
  },
  {
    name: "Send more than 32 KiB",
    why: "No token allows that much.",
    frame: ({ channel }) => ({ event: "chat", channel, data: "x".repeat(OVERSIZE) }),
  },
];

/**
 * What a frame says about a trial that was sent.
 * @param {{event: string, channel: string, ack: string}} trial
 * @param {unknown} frame that was received since
 * @returns {?string} null: nothing
 */
export function verdict(trial, frame) {
  if (frame?.event === "hotsock.error") return refusal(trial, frame);
  const isDone = frame?.event === "hotsock.ack" && frame.data?.ack === trial.ack;
  const isHeard = frame?.event === `${trial.event}d` && frame.channel === trial.channel;
  return isDone || isHeard ? "The server allowed it." : null;
}

function refusal(trial, { channel, error }) {
  const isMeant = error?.event === trial.event && channel === trial.channel;
  if (!isMeant || (error.ack ?? trial.ack) !== trial.ack) return null;
  return `Refused: ${error.message} (${error.code})`;
}
