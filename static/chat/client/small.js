// The client without `history`, `follow` and `occupancy`, for who needs none of them.

export { HotsockClient } from "./client.js";
export { ClientError, ErrorCode } from "./errors.js";
export { decodeTime } from "./ulid.js";
