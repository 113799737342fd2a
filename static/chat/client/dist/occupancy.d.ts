/**
 * @param {import("./channel.js").Channel} channel
 * @param {import("./subscription.js").Subscription} subscription
 * @param {function(number): void} callback
 * @returns {function(): void} ends it
 */
export function watchOccupancy(channel: import("./channel.js").Channel, subscription: import("./subscription.js").Subscription, callback: (arg0: number) => void): () => void;
