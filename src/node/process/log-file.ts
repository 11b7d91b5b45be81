// A log in a file: one JSON object a line, written at once, so that the last line before a crash is there.
import { appendFileSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { type DestinationStream, pino, stdTimeFunctions } from 'pino';
import type { Logger } from '../../core/log.js';
import { ioError } from '../storage/io-error.js';

export interface FileLoggerOptions {
  /** Lines below it are dropped; `info` by default. */
  readonly level?: 'debug' | 'info' | 'warn' | 'error';
  /** What is logging: `server`, or the site's name. A field of every line. */
  readonly name: string;
}

export interface FileLogger extends Logger {
  /** After it, lines are dropped. */
  close(): void;
}

/** Appends to the file at `path`, making the folders above it; `io` where it cannot be opened. */
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

/** pino's own destination keeps what a full disk does not take in memory, without a limit, and ends in a loop. */
class LogFile implements DestinationStream {
  #descriptor: number;

  constructor(path: string) {
    try {
      mkdirSync(dirname(path), { recursive: true });
      this.#descriptor = openSync(path, 'a');
    } catch (cause) {
      throw ioError(cause, 'write', path);
    }
  }

  /** A line that cannot be written is lost, and does not end the run: whoever writes the model will say better what is wrong. */
  write(line: string): void {
    if (this.#descriptor < 0) return;
    try {
      appendFileSync(this.#descriptor, line);
    } catch {}
  }

  close(): void {
    if (this.#descriptor < 0) return;
    closeSync(this.#descriptor);
    this.#descriptor = -1;
  }
}
