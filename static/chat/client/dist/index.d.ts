export { HotsockClient } from "./following_client.js";
export { decodeTime } from "./ulid.js";
export { ClientError, ErrorCode } from "./errors.js";
