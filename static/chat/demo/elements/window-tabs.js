// On a narrow page one window at a time, with a tab for each; on a wide one both, and no tabs.

const NARROW = matchMedia("(width < 700px)");

// Where a key leads, from the tab at an index of so many.
const MOVES = {
  ArrowRight: (index, count) => (index + 1) % count,
  ArrowLeft: (index, count) => (index + count - 1) % count,
  Home: () => 0,
  End: (_, count) => count - 1,
};

export class WindowTabs extends HTMLElement {
  #tabs;
  #shown;
  #unread = new Map();
  #summaries = new Map();

  connectedCallback() {
    this.#tabs = [...this.querySelectorAll('[role="tab"]')];
    this.#shown = this.#tabs[0].dataset.uid;
    this.addEventListener("click", ({ target }) => this.#choose(target.closest(".tab")));
    this.addEventListener("keydown", (event) => this.#key(event));
    NARROW.addEventListener("change", () => this.#render());
    this.#render();
  }

  /** A message that arrives in a window that is hidden is counted on its tab. */
  count(uid) {
    if (!NARROW.matches || uid === this.#shown) return;
    this.#unread.set(uid, (this.#unread.get(uid) ?? 0) + 1);
    this.#render();
  }

  /** `summary`: {state, line} of the window, in words. The state is told of the one that is shown. */
  summarize(uid, summary) {
    this.#summaries.set(uid, summary);
    this.#render();
  }

  reset() {
    this.#unread.clear();
    this.#render();
  }

  #choose(tab) {
    if (!tab) return;
    this.#shown = tab.dataset.uid;
    this.#unread.delete(this.#shown);
    this.#render();
  }

  #key(event) {
    const shown = this.#tabs.findIndex((tab) => tab.dataset.uid === this.#shown);
    const tab = this.#tabs[MOVES[event.key]?.(shown, this.#tabs.length)];
    if (!tab) return;
    event.preventDefault();
    this.#choose(tab);
    tab.focus();
  }

  #render() {
    for (const tab of this.#tabs) this.#renderTab(tab, tab.dataset.uid === this.#shown);
  }

  #renderTab(tab, isShown) {
    const unread = this.#unread.get(tab.dataset.uid) ?? 0;
    tab.setAttribute("aria-selected", String(isShown));
    tab.tabIndex = isShown ? 0 : -1;
    tab.querySelector(".badge").hidden = unread === 0;
    tab.querySelector(".badge-count").textContent = unread > 99 ? "99+" : String(unread);
    const { state, line } = this.#summaries.get(tab.dataset.uid) ?? { state: "", line: "" };
    tab.querySelector(".tab-line").textContent = isShown ? state : line;
    const panel = document.getElementById(tab.getAttribute("aria-controls"));
    panel.hidden = NARROW.matches && !isShown;
    panel.setAttribute("role", NARROW.matches ? "tabpanel" : "region");
  }
}
