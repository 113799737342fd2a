// Socket.IO 4 with connection state recovery, beside `follow` of the browser client
// (tests/faults/socketio.py): POST /publish says its body to all in the room.
import { createServer } from "node:http";
import { Server } from "socket.io";

const MAX_DISCONNECTION_MS = 2 * 60 * 1000;

const http = createServer((request, response) => {
  if (request.url !== "/publish") return response.writeHead(200).end();
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => {
    io.to("room").emit("chat", body);
    response.writeHead(202).end();
  });
});
const io = new Server(http, {
  transports: ["websocket"],
  cors: { origin: "*" },
  connectionStateRecovery: { maxDisconnectionDuration: MAX_DISCONNECTION_MS },
});
io.on("connection", (socket) => socket.join("room"));
http.listen(Number(process.argv[2]), "127.0.0.1");
