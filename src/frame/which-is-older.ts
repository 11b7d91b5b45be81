// The advice for something of the other side's that this side does not know: which of the two is older.
import { FedStreamError } from '../core/errors.js';
import { compareReleases, RELEASE } from '../core/release.js';

/** The two sides of an advice. */
export interface Sides {
  /** The other side in words: "the server". */
  readonly peer: string;
  /** The release that its hello says; undefined if it says none, as older ones do. */
  readonly release: string | undefined;
  /** The release of this side; by default that of this code. */
  readonly own?: string;
}

/** One sentence: both releases, the older side, and where to update FedStream. */
export function whichIsOlder({ peer, release, own = RELEASE }: Sides): string {
  if (release === undefined)
    return `${peer} does not say its release, so it is older than this side's FedStream ${own}: update FedStream there`;
  const order = compareReleases(own, release);
  if (order < 0) return `this side has FedStream ${own}, which is older than ${peer}'s ${release}: update FedStream here`;
  if (order > 0) return `${peer} has FedStream ${release}, which is older than this side's ${own}: update FedStream there`;
  return `both sides have FedStream ${own}, so no update adds it: the two have different kits, or one of them was changed`;
}

/** The same error with the advice behind its message; its code and cause stay. */
export function withAdvice(error: FedStreamError, sides: Sides): FedStreamError {
  return new FedStreamError(error.code, `${error.message}; ${whichIsOlder(sides)}`, { cause: error.cause ?? error });
}
