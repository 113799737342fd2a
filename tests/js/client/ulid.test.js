import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeTime } from "../../../static/chat/client/index.js";

// Times from the definition: ten base32 digits, most significant first.
const TIMES = [
  ["00000000000000000000000000", 0],
  ["0000000001ZZZZZZZZZZZZZZZZ", 1],
  ["000000000Z0000000000000000", 31],
  ["00000000100000000000000000", 32],
  ["7ZZZZZZZZZ0000000000000000", 2 ** 48 - 1],
  ["01ARZ3NDEKTSV4RRFFQ69G5FAV", 1_469_922_850_259],
];

for (const [id, time] of TIMES) {
  test(`${id} was made at ${time}`, () => assert.equal(decodeTime(id), time));
}

const NO_ULIDS = [
  ["too short", "01ARZ3NDEKTSV4RRFFQ69G5FA"],
  ["too long", "01ARZ3NDEKTSV4RRFFQ69G5FAVX"],
  ["beyond 128 bits", "8ZZZZZZZZZ0000000000000000"],
  ["lower case", "01arz3ndektsv4rrffq69g5fav"],
  ["a letter that the alphabet leaves out", "01ARZ3NDEKTSV4RRFFQ69G5FAU"],
  ["a line end", "01ARZ3NDEKTSV4RRFFQ69G5FAV\n"],
  ["no string", 1_469_922_850_259],
  ["nothing", undefined],
];

for (const [what, id] of NO_ULIDS) {
  test(`${what} is refused`, () => {
    assert.throws(() => decodeTime(id), { name: "TypeError", message: /id is no ULID/ });
  });
}
