// In the page of test_follow.py: renders what a follower tells, and records what is in the document.
({ url, origin, token, channel }) =>
  import(`${origin}/static/chat/client/index.js`).then(({ HotsockClient }) => {
    const MAX_SHOWN = 300;
    const log = document.createElement("ol");
    document.body.replaceChildren(log);
    const record = { rendered: [], caughtUp: [], errors: {}, state: () => follower.state };
    new MutationObserver((changes) => {
      for (const { addedNodes } of changes) {
        for (const node of addedNodes) record.rendered.push(node.id);
      }
    }).observe(log, { childList: true });
    const client = new HotsockClient(url, { connectTokenFn: () => token, logLevel: "silent" });
    client.bind("@@error", ({ code }) => (record.errors[code] = (record.errors[code] ?? 0) + 1));
    const follower = client.channels(channel).follow({
      limit: 0,
      maxMissed: 1_000_000,
      onMessage({ id }) {
        const item = document.createElement("li");
        item.id = id;
        log.append(item);
        if (log.childElementCount > MAX_SHOWN) log.firstElementChild.remove();
      },
      onCaughtUp: (how) => record.caughtUp.push(how),
    });
    globalThis.record = record;
  });
