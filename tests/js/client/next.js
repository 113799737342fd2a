// Waits for what a real server says.

const LIMIT_MS = 10_000;

/** @returns {Promise<object>} the next value of the event that fulfils the condition */
export function next(target, event, isWanted = () => true) {
  return new Promise((resolve, reject) => {
    const limit = setTimeout(() => reject(new Error(`no ${event} in 10 s`)), LIMIT_MS);
    const binding = target.bind(event, (value) => {
      if (!isWanted(value)) return;
      clearTimeout(limit);
      binding.unbind();
      resolve(value);
    });
  });
}
