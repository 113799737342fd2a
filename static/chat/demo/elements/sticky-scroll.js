// Keeps a log at its end while the reader is there, and where the reader is otherwise: then a
// button tells what is new below.

const NEAR = 48; // px from the end that still count as the end

export class StickyScroll {
  #scroller;
  #button;
  #isStuck = true;
  #size = "";
  #unseen = 0;

  constructor(scroller, button) {
    this.#scroller = scroller;
    this.#button = button;
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    button.addEventListener("click", () => this.stick());
    new ResizeObserver(() => this.#resized()).observe(scroller);
  }

  /** The content changed, by so many messages of others. */
  settle(news) {
    if (this.#isStuck) return this.#toEnd();
    this.#unseen += news;
    this.#showButton();
  }

  /** Goes to the end and stays there. */
  stick() {
    this.#isStuck = true;
    this.#toEnd();
    this.#seen();
  }

  #scrolled() {
    // The window was hidden, turned, or made smaller by a keyboard: that is no wish of the reader.
    if (sizeOf(this.#scroller) !== this.#size) return;
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    this.#isStuck = scrollHeight - scrollTop - clientHeight < NEAR;
    if (this.#isStuck) this.#seen();
  }

  #resized() {
    this.#size = sizeOf(this.#scroller);
    if (this.#isStuck) this.#toEnd();
  }

  #toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #seen() {
    this.#unseen = 0;
    this.#showButton();
  }

  #showButton() {
    this.#button.hidden = this.#unseen === 0;
    const words = this.#unseen === 1 ? "new message" : "new messages";
    this.#button.querySelector("span").textContent = `${this.#unseen} ${words}`;
  }
}

const sizeOf = ({ clientWidth, clientHeight }) => `${clientWidth} ${clientHeight}`;
