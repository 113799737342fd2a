// To the console, from a chosen level up. Never given frames: they hold tokens and secrets.

const LEVELS = ["debug", "info", "warn", "error"];

export const LOG_LEVELS = Object.freeze([...LEVELS, "silent"]);

/** @typedef {"debug" | "info" | "warn" | "error" | "silent"} LogLevel */

export class Logger {
  #least;

  /** @param {LogLevel} level the least that is written; "silent" writes nothing */
  constructor(level) {
    this.#least = LOG_LEVELS.indexOf(level);
  }

  debug(...words) {
    this.#write("debug", words);
  }

  info(...words) {
    this.#write("info", words);
  }

  warn(...words) {
    this.#write("warn", words);
  }

  error(...words) {
    this.#write("error", words);
  }

  #write(level, words) {
    if (LEVELS.indexOf(level) >= this.#least) globalThis.console?.[level]("[hotsock]", ...words);
  }
}
