// Counts in the page's title what nobody has seen, over all windows: for whoever is in another tab.

export class UnreadTitle {
  #title = document.title;
  #counts = new Map(); // message-log -> how many

  constructor(page) {
    page.addEventListener("unread", ({ target, detail }) => this.#count(target, detail));
  }

  #count(log, unread) {
    this.#counts.set(log, unread);
    const sum = [...this.#counts.values()].reduce((one, other) => one + other, 0);
    document.title = sum ? `(${sum}) ${this.#title}` : this.#title;
  }
}
