// A bubble whose text wraps is as wide as its longest line. CSS alone leaves it as wide as it may be.

export function fitBubbles(list) {
  let width = 0;
  new MutationObserver((records) => fit(added(records))).observe(list, { childList: true });
  new ResizeObserver(() => {
    if (width === list.clientWidth) return;
    width = list.clientWidth;
    fit([...list.children]);
  }).observe(list);
}

const added = (records) => records.flatMap(({ addedNodes }) => [...addedNodes]);

/** All at once: the browser lays out once to tell how wide they are. */
function fit(items) {
  const bubbles = items.map((item) => item.querySelector(".bubble")).filter(Boolean);
  for (const bubble of bubbles) bubble.style.width = "";
  const widths = bubbles.map(widthOf);
  bubbles.forEach((bubble, index) => (bubble.style.width = widths[index]));
}

/** In its own unit, so that it grows with the text; "" where it fits already or is not shown. */
function widthOf(bubble) {
  const range = document.createRange();
  range.selectNodeContents(bubble);
  const text = range.getBoundingClientRect().width;
  const style = getComputedStyle(bubble);
  const fitting = Math.ceil(text + parseFloat(style.paddingLeft) + parseFloat(style.paddingRight));
  if (!text || fitting + 1 >= bubble.offsetWidth) return "";
  return `${fitting / parseFloat(style.fontSize)}em`;
}
