export const LOG_LEVELS: readonly string[];
/** @typedef {"debug" | "info" | "warn" | "error" | "silent"} LogLevel */
export class Logger {
    /** @param {LogLevel} level the least that is written; "silent" writes nothing */
    constructor(level: LogLevel);
    debug(...words: any[]): void;
    info(...words: any[]): void;
    warn(...words: any[]): void;
    error(...words: any[]): void;
    #private;
}
export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";
