import assert from "node:assert/strict";
import { test } from "node:test";
import { Kept, Owned, Store } from "../../../static/chat/demo/model/storage.js";

/** What a browser's storage does; `refuses` as with blocked site data, `isFull` as is a quota. */
class Area {
  items = new Map();
  refuses = false;
  isFull = false;

  getItem(key) {
    this.#check();
    return this.items.get(key) ?? null;
  }

  setItem(key, value) {
    this.#check();
    if (this.isFull) throw new DOMException("no room", "QuotaExceededError");
    this.items.set(key, value);
  }

  removeItem(key) {
    this.#check();
    this.items.delete(key);
  }

  #check() {
    if (this.refuses) throw new DOMException("not here", "SecurityError");
  }
}

test("what is kept is in the browser's storage, until it is removed", () => {
  const area = new Area();
  const store = new Store(() => area);
  store.set("k", "v");
  assert.deepEqual([area.items.get("k"), store.get("k")], ["v", "v"]);
  store.remove("k");
  assert.deepEqual([area.items.size, store.get("k")], [0, null]);
});

test("what another page changed counts", () => {
  const area = new Area();
  const store = new Store(() => area);
  store.set("k", "old");
  area.items.set("k", "new");
  assert.equal(store.get("k"), "new");
});

test("a browser that keeps nothing: it lasts as long as the page", () => {
  const area = Object.assign(new Area(), { refuses: true });
  const store = new Store(() => area);
  store.set("k", "v");
  assert.equal(store.get("k"), "v");
  store.remove("k");
  assert.equal(store.get("k"), null);
});

test("a quota that is full: what was set last counts, not what the browser still has", () => {
  const area = new Area();
  const store = new Store(() => area);
  store.set("k", "old");
  area.isFull = true;
  store.set("k", "new");
  assert.deepEqual([area.items.get("k"), store.get("k")], ["old", "new"]);
  area.isFull = false;
  store.set("k", "newer");
  area.items.set("k", "of another page");
  assert.equal(store.get("k"), "of another page");
});

test("what the browser does not remove is gone all the same", () => {
  const area = new Area();
  const store = new Store(() => area);
  store.set("k", "v");
  area.refuses = true;
  store.remove("k");
  area.refuses = false;
  assert.equal(store.get("k"), null);
});

test("a mistake of ours is not swallowed", () => {
  assert.throws(() => new Store(() => undefined).get("k"), TypeError);
});

test("a value is read as it was written; empty ones leave nothing behind", () => {
  const area = new Area();
  const kept = new Kept(new Store(() => area), "k");
  kept.write([{ a: "ü" }]);
  assert.deepEqual(kept.read([]), [{ a: "ü" }]);
  for (const empty of [[], ""]) {
    kept.write("x");
    kept.write(empty);
    assert.equal(area.items.size, 0);
  }
});

test("what is no JSON counts as absent", () => {
  const area = new Area();
  area.items.set("k", "{");
  assert.deepEqual(new Kept(new Store(() => area), "k").read("absent"), "absent");
});

test("one page at a time owns a value; a copy of the storage does not", () => {
  const area = new Area();
  const owned = new Owned(new Store(() => area), "k");
  owned.write(["a"]);
  assert.equal(owned.claim(), true);
  const copy = Object.assign(new Area(), { items: new Map(area.items) });
  assert.equal(new Owned(new Store(() => copy), "k").claim(), false);
  owned.release();
  assert.deepEqual([...area.items.keys()], ["k"]);
  assert.equal(new Owned(new Store(() => area), "k").claim(), true);
});
