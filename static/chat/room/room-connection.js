// The connection of a room: as the demo's, and whoever is heard of is known by name from then on.

import { Connection } from "../demo/model/connection.js";

export class RoomConnection extends Connection {
  /** Whether the token allows to tell the others that one types. */
  mayType = false;
  #faces;

  /** @param {object} parts of a Connection, and `faces` */
  constructor({ faces, createClient, ...parts }) {
    const create = (options) => meet(createClient(options), parts.channel, faces);
    super({ ...parts, createClient: create });
    this.#faces = faces;
  }

  typing() {
    if (this.mayType) super.typing();
  }

  follow({ onMessage, ...callbacks }) {
    const heard = (message) => {
      this.#faces.learnFrom(message);
      onMessage(message);
    };
    return super.follow({ ...callbacks, onMessage: heard });
  }

  async *history(stretch) {
    for await (const message of super.history(stretch)) {
      this.#faces.learnFrom(message);
      yield message;
    }
  }
}

/** Before anything else is told of a frame. */
function meet(client, name, faces) {
  const channel = client.channels(name);
  channel.bind(/^/, (frame) => faces.learnFrom(frame));
  channel.bind(/^hotsock\.(subscribed|member)/, () => faces.show(channel.members));
  return client;
}
