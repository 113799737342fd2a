// What the browser keeps for this page. A browser may refuse to keep anything (blocked storage,
// a full quota): then it lasts as long as the page, and nothing breaks.

export class Store {
  #open;
  #spare = new Map();

  constructor(open) {
    this.#open = open;
  }

  get(key) {
    return this.#try((area) => area.getItem(key)) ?? this.#spare.get(key) ?? null;
  }

  set(key, value) {
    this.#spare.set(key, value);
    this.#try((area) => area.setItem(key, value));
  }

  remove(key) {
    this.#spare.delete(key);
    this.#try((area) => area.removeItem(key));
  }

  #try(act) {
    try {
      return act(this.#open());
    } catch (error) {
      if (error instanceof DOMException) return null;
      throw error;
    }
  }
}

/** Shared by all tabs: the session to come back to. */
export const shared = new Store(() => localStorage);
/** This tab's alone, so that two tabs never send the same waiting message. Survives a reload. */
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
