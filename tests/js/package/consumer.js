// An application that has the package installed: says something on a channel, and hears it.

import { HotsockClient, decodeTime } from "chatsite-client";

/**
 * @param {{url: string, token: string, channel: string, text: string, WebSocket?: object}} given
 * @returns {Promise<string>} what was heard
 */
export async function hear({ url, token, channel, text, WebSocket }) {
  const client = new HotsockClient(url, { connectTokenFn: () => token, WebSocket });
  try {
    return await new Promise((heard, failed) => {
      client.bind("@@error", failed);
      client.bind("message", ({ id, data }) => decodeTime(id) > 0 && heard(data), { channel });
      client.channels(channel).sendMessage("message", { data: text });
    });
  } finally {
    client.terminate();
  }
}
