// Socket.IO 4: rooms of its own adapter, WebSocket only.
import { Server } from "socket.io";

const server = new Server(Number(process.argv[2]), {
  transports: ["websocket"],
  perMessageDeflate: false,
  serveClient: false,
});

server.on("connection", (socket) => {
  const { room } = socket.handshake.query;
  socket.join(room);
  socket.on("chat", (message) => {
    socket.to(room).emit("chat", message);
  });
});
