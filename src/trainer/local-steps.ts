// The number of optimizer steps of a round, and the clock that may end one sooner.

/** Settings of a round's length, from the job. */
export interface LengthSettings {
  /** Optimizer steps in each round; without it, passes over the data count. */
  readonly localSteps?: number | undefined;
  /** Passes over the data in each round, or a part of one; 1 by default. */
  readonly localEpochs?: number | undefined;
  /** A round takes no further step once so many seconds have passed. */
  readonly localSeconds?: number | undefined;
}

/** The most steps of a round: those of a whole epoch are `stepsPerEpoch`. At least 1. */
export function mostSteps({ localSteps, localEpochs = 1 }: LengthSettings, stepsPerEpoch: number): number {
  return localSteps ?? Math.max(1, Math.round(stepsPerEpoch * localEpochs));
}

/** Tells before each step but the first whether the time of the round is over. */
export function untilSeconds({ localSeconds }: LengthSettings, nowMs: () => number = () => performance.now()): () => boolean {
  if (localSeconds === undefined) return () => false;
  const endMs = nowMs() + localSeconds * 1000;
  return () => nowMs() >= endMs;
}
