import assert from "node:assert/strict";
import { test } from "node:test";
import { busiest } from "../../../static/chat/admin/live/tables.js";
import { number, size } from "../../../static/chat/admin/live/words.js";

test("a channel in several processes is one, with all its subscribers", () => {
  const one = [["a", 5, 2], ["b", 1, 1]];
  const other = [["b", 9, 3], ["a", 4.9, 1]];
  assert.deepEqual(busiest([one, other, []]), [["b", 9, 4], ["a", 5, 3]]);
  const many = Array.from({ length: 12 }, (_, index) => [`channel ${index}`, index, 1]);
  const rates = busiest([many]).map(([, rate]) => rate);
  assert.deepEqual(rates, [11, 10, 9, 8, 7, 6, 5, 4, 3, 2]);
});

test("numbers read in few digits", () => {
  assert.deepEqual([0, 5.25, 99.94, 1234.5].map(number), ["0", "5.3", "99.9", "1,235"]);
  assert.deepEqual([0, 999, 1500, 25e9].map(size), ["0 bytes", "999 bytes", "1.5 KB", "25 GB"]);
});
