// A logger that writes so many lines a minute and counts the rest: a peer must not fill the log.
import type { LogFields, Logger } from './log.js';

const WINDOW_MS = 60_000;

/** The number of lines, whose they are, and the clock. */
export interface LimitedLogOptions {
  readonly linesAMinute: number;
  /** The peer, for the line that says that lines are left out. */
  readonly of: string;
  readonly now?: () => number;
}

/**
 * Passes the first lines of each minute on. The first line beyond them is replaced by one that says
 * so; the first line of a later minute is preceded by one with the number that was left out.
 */
export function limitedLogger(log: Logger, { linesAMinute, of, now = () => performance.now() }: LimitedLogOptions): Logger {
  let beganMs = Number.NEGATIVE_INFINITY;
  let written = 0;
  let leftOut = 0;
  const passes = (): boolean => {
    if (now() - beganMs >= WINDOW_MS) {
      if (leftOut > 0) log.warn({ site: of, leftOut }, `${leftOut} lines about ${of} were left out of the log`);
      beganMs = now();
      written = 0;
      leftOut = 0;
    }
    if (++written <= linesAMinute) return true;
    if (++leftOut === 1)
      log.warn({ site: of }, `more than ${linesAMinute} lines about ${of} in a minute; the rest of this minute's are left out`);
    return false;
  };
  const limited =
    (level: keyof Logger) =>
    (fields: LogFields, message: string): void => {
      if (passes()) log[level](fields, message);
    };
  return { debug: limited('debug'), info: limited('info'), warn: limited('warn'), error: limited('error') };
}
