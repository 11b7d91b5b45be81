// The logger of the layers below `node`, which gives it a file; tests give it an array.

/** The fields of a log line. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Structured log lines: fields first, then one sentence, as in pino. */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

const drop = (): void => {};

/** A logger that drops every line. */
export const silentLogger: Logger = { debug: drop, info: drop, warn: drop, error: drop };
