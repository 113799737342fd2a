export { HotsockClient } from "./client.js";
export { decodeTime } from "./ulid.js";
export { ClientError, ErrorCode } from "./errors.js";
