// uWebSockets.js, with its own publish and subscribe, which joins what one tick sends.
import uWS from "@btc-vision/uwebsockets.js";

uWS
  .App()
  .ws("/*", {
    compression: uWS.DISABLED,
    maxPayloadLength: 128 * 1024,
    maxBackpressure: 16 * 1024 * 1024,
    idleTimeout: 120,
    upgrade(response, request, context) {
      response.upgrade(
        { room: request.getUrl() },
        request.getHeader("sec-websocket-key"),
        request.getHeader("sec-websocket-protocol"),
        request.getHeader("sec-websocket-extensions"),
        context,
      );
    },
    open(socket) {
      socket.subscribe(socket.getUserData().room);
    },
    message(socket, message, isBinary) {
      socket.publish(socket.getUserData().room, message, isBinary);
    },
  })
  .listen("127.0.0.1", Number(process.argv[2]), (listening) => {
    if (!listening) process.exit(1);
  });
