// A log file: one JSON object per line, written at once, so that no line is lost in a crash. Text of
// other machines is in it, so characters that a terminal obeys are escaped.
import { appendFileSync, closeSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { type DestinationStream, pino, stdTimeFunctions } from 'pino';
import type { Logger } from '../../core/log.js';
import { visibleJson } from '../../core/visible.js';
import { ioError } from '../storage/io-error.js';
import { makePrivateFolder, PRIVATE_FILE } from '../storage/private-modes.js';

/** The name and the level of a log. */
export interface FileLoggerOptions {
  /** Lines below it are dropped; `info` by default. */
  readonly level?: 'debug' | 'info' | 'warn' | 'error';
  /** The process that logs: `server`, or the site's name. A field of every line. */
  readonly name: string;
}

/** A logger with a file behind it. */
export interface FileLogger extends Logger {
  /** Closes the file; later lines are dropped. */
  close(): void;
}

/**
 * Appends to the file at `path` and makes the folders above it; throws `io` if it cannot be opened.
 */
export function fileLogger(path: string, { level = 'info', name }: FileLoggerOptions): FileLogger {
  const file = new LogFile(path);
  const logger = pino(
    { level, base: { name }, timestamp: stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    file,
  );
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    close: () => file.close(),
  };
}

/**
 * A destination for pino. Its own would keep lines that a full disk does not take in memory,
 * without a limit, and end in a loop.
 */
class LogFile implements DestinationStream {
  #descriptor: number;

  constructor(path: string) {
    try {
      makePrivateFolder(dirname(path));
      this.#descriptor = openSync(path, 'a', PRIVATE_FILE);
    } catch (cause) {
      throw ioError(cause, 'write', path);
    }
  }

  /**
   * Writes a line. A line that cannot be written is lost and does not end the run: the process that
   * writes the model has a better error for it.
   */
  write(line: string): void {
    if (this.#descriptor < 0) return;
    try {
      appendFileSync(this.#descriptor, visibleJson(line));
    } catch {}
  }

  close(): void {
    if (this.#descriptor < 0) return;
    closeSync(this.#descriptor);
    this.#descriptor = -1;
  }
}
