// Keeps the page as tall as what is seen of it, above the keyboard of a phone that lays its own
// over the page (iOS; others take the page's size: `interactive-widget`).

const ZOOMED = 1.01; // whoever zooms in sees a part of the page, and wants it so

export function keepInSight(page) {
  const { visualViewport } = globalThis;
  const fit = () => {
    if (visualViewport.scale > ZOOMED) return;
    const isCovered = innerHeight - visualViewport.height > 1;
    if (isCovered) page.style.setProperty("--visible-height", `${visualViewport.height}px`);
    else page.style.removeProperty("--visible-height");
    scrollTo(0, 0); // it moved the page up to show the composer, which is in sight now
  };
  for (const type of ["resize", "scroll"]) visualViewport?.addEventListener(type, fit);
}
