// What the browser keeps for this page. A browser may refuse to keep anything (blocked storage,
// a full quota): then it lasts as long as the page, and nothing breaks.

export class Store {
  #open;
  #spare = new Map(); // what the browser did not take, by key; null: it did not remove it

  constructor(open) {
    this.#open = open;
  }

  /** What was set last, also where the browser still has an older value. */
  get(key) {
    if (this.#spare.has(key)) return this.#spare.get(key);
    let value = null;
    this.#try((area) => (value = area.getItem(key)));
    return value;
  }

  set(key, value) {
    this.#keep(key, value, (area) => area.setItem(key, value));
  }

  remove(key) {
    this.#keep(key, null, (area) => area.removeItem(key));
  }

  #keep(key, value, act) {
    if (this.#try(act)) this.#spare.delete(key);
    else this.#spare.set(key, value);
  }

  /** Whether the browser did it. */
  #try(act) {
    try {
      act(this.#open());
      return true;
    } catch (error) {
      if (error instanceof DOMException) return false;
      throw error;
    }
  }
}

/** Shared by all tabs: the session to come back to. */
export const shared = new Store(() => localStorage);
/** This tab's alone; survives a reload. A tab that is duplicated starts with a copy: see Owned. */
export const ofTab = new Store(() => sessionStorage);

/** One JSON value under one key; what is not JSON counts as absent. */
export class Kept {
  constructor(store, key) {
    Object.assign(this, { store, key });
  }

  read(absent) {
    try {
      return JSON.parse(this.store.get(this.key)) ?? absent;
    } catch (error) {
      if (error instanceof SyntaxError) return absent;
      throw error;
    }
  }

  write(value) {
    if (value === "" || value?.length === 0) this.store.remove(this.key);
    else this.store.set(this.key, JSON.stringify(value));
  }
}

/**
 * What one page alone may act on. Whoever duplicates a tab copies its storage while the first page
 * lives on, so a page leaves a mark beside the value for as long as it is at work on it. One that
 * finds the mark has a copy, or comes after a crash: it cannot know which, and may not act.
 */
export class Owned extends Kept {
  /** Whether the value was nobody's. The mark stays until it is released. */
  claim() {
    const isFree = this.store.get(this.#mark) === null;
    this.store.set(this.#mark, "owned");
    return isFree;
  }

  release() {
    this.store.remove(this.#mark);
  }

  get #mark() {
    return `${this.key}:owner`;
  }
}
