// Counts in the page's title what nobody has seen, over all windows: for whoever is in another tab.

export function countInTitle(page) {
  const { title } = document;
  const counts = new Map(); // message-log -> how many
  page.addEventListener("unread", ({ target, detail }) => {
    counts.set(target, detail);
    const sum = [...counts.values()].reduce((one, other) => one + other, 0);
    document.title = sum ? `(${sum}) ${title}` : title;
  });
}
