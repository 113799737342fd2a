// Runs the application in Node: the environment has what it is given, as JSON. With `ws` as
// argument it connects through that package.

import { hear } from "./consumer.js";

const given = JSON.parse(process.env.GIVEN);
const WebSocket = process.argv[2] === "ws" ? (await import("ws")).WebSocket : undefined;
process.stdout.write(await hear({ ...given, WebSocket }));
