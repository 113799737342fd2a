// How many subscribe to a channel (protocol.md section 19).

import { isObject } from "./frames.js";

/**
 * @param {import("./channel.js").Channel} channel
 * @param {import("./subscription.js").Subscription} subscription
 * @param {function(number): void} callback
 * @returns {function(): void} ends it
 */
export function watchOccupancy(channel, subscription, callback) {
  const ask = { occupancy: true };
  subscription.asks.add(ask); // before binding, which subscribes where it is the first
  const binding = channel.bind(/^hotsock\.(subscribed|channelUpdated)$/, ({ data }) => {
    const count = isObject(data) ? data.subscriptionsCount : undefined;
    if (Number.isSafeInteger(count)) callback(count);
  });
  subscription.renew();
  return () => {
    subscription.asks.delete(ask);
    binding.unbind();
  };
}
