import assert from "node:assert/strict";
import { test } from "node:test";
import { nameOf, namesOf } from "../../../static/chat/demo/model/people.js";

const NAMES = [
  [[], ""],
  [["jim"], "Jim"],
  [["jim", "pam"], "Jim and Pam"],
  [["jim", "pam", "kim"], "Jim, Pam and kim"],
  [["jim", "pam", "kim", "x", "y"], "Jim, Pam and 3 more"],
];

for (const [uids, names] of NAMES) {
  test(`${uids.length} people: ${names}`, () => assert.equal(namesOf(new Set(uids)), names));
}

test("the server itself and strangers have names too", () => {
  assert.deepEqual([null, undefined, "toString"].map(nameOf), ["Server", "Server", "toString"]);
});
