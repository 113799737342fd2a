// The browser client: ES modules without a build step and without dependencies. This is its door.

export { HotsockClient } from "./following_client.js";
export { ClientError, ErrorCode } from "./errors.js";
export { decodeTime } from "./ulid.js";
