// Keeps a log at its end while the reader is there; otherwise what the reader looks at stays where
// it is, whatever changes above or below it. Most browsers do the latter by themselves (scroll
// anchoring, which is no layout shift), but not at the very top.

const ANCHORS = CSS.supports("overflow-anchor", "auto");
const NEAR = 48; // px from the end that still count as the end
const SOON = 1200; // px from either edge: time to bring what is beyond it

export class StickyScroll {
  /** Whether the reader is at the end. */
  isStuck = true;
  /** Whether the content begins where all begins, and ends where all ends. */
  hasStart = true;
  hasEnd = true;
  #scroller;
  #list;
  #on;
  #size = "";
  #top = 0;
  #view = []; // the items in sight, with where they were

  /** `on`: {moved(), near(edge)}: the reader scrolled; comes to the edge, "older" or "newer". */
  constructor(scroller, list, on) {
    this.#scroller = scroller;
    this.#list = list;
    this.#on = on;
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#resized()).observe(scroller);
  }

  get isVisible() {
    return this.#scroller.clientHeight > 0;
  }

  /** Whether it is in sight, with nothing to scroll to. */
  get isShort() {
    return this.isVisible && this.#scroller.scrollHeight <= this.#scroller.clientHeight;
  }

  /** Runs what changes the content. `isLess`: it only takes away what is out of sight. */
  keep(change, isLess = false) {
    if (!this.isStuck) this.#look();
    change();
    if (!(isLess && this.#isAnchored)) this.#settle();
  }

  /** Goes to the end and stays there. */
  stick() {
    this.isStuck = true;
    this.#settle();
  }

  #scrolled() {
    // The window was hidden, turned, or made smaller by a keyboard: that is no wish of the reader.
    if (sizeOf(this.#scroller) !== this.#size) return;
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    const below = scrollHeight - scrollTop - clientHeight;
    const isUp = scrollTop < this.#top;
    this.#top = scrollTop;
    this.isStuck = below < NEAR && (this.hasEnd || this.isStuck);
    if (!this.isStuck) this.#look();
    this.#on.moved();
    if (!this.hasStart && scrollTop < 1) this.#scroller.scrollTop = 1; // where there are anchors
    if (isUp && scrollTop < SOON) this.#on.near("older");
    if (!isUp && below < SOON) this.#on.near("newer");
  }

  #resized() {
    this.#size = sizeOf(this.#scroller);
    this.#settle();
    this.#on.moved();
  }

  #settle() {
    if (this.isStuck) this.#scroller.scrollTop = this.#scroller.scrollHeight;
    else this.#restore();
  }

  get #isAnchored() {
    return ANCHORS && this.#scroller.scrollTop > 0;
  }

  #look() {
    const { top, bottom } = this.#scroller.getBoundingClientRect();
    this.#view = [...this.#list.children]
      .map((item) => ({ item, at: bodyOf(item).getBoundingClientRect() }))
      .filter(({ at }) => at.bottom > top && at.top < bottom)
      .map(({ item, at }) => ({ item, top: at.top - top }));
  }

  /** Puts the first of the items that were in sight back to where it was. */
  #restore() {
    const kept = this.#view.find(({ item }) => item.isConnected);
    if (!kept) return;
    const { top } = this.#scroller.getBoundingClientRect();
    const moved = bodyOf(kept.item).getBoundingClientRect().top - top - kept.top;
    if (Math.abs(moved) > 1) this.#scroller.scrollTop += moved;
  }
}

/** What stands above and below the text itself comes and goes. */
const bodyOf = (item) => item.querySelector(".row") ?? item;

const sizeOf = ({ clientWidth, clientHeight }) => `${clientWidth} ${clientHeight}`;
