// The plan of a training whose model is exchanged in parts: which steps belong to which segment.
import { FedStreamError } from '../core/errors.js';

/** The numbers of a plan (docs/spec/streaming.md). */
export interface PartPlan {
  /** The number of parts, and of segments in a round. */
  readonly of: number;
  /** Steps between the end of a segment and the merge of its part; at most those of a segment. */
  readonly overlap: number;
  /** The share of a site's own values in a merge, from 0 to below 1. */
  readonly alpha: number;
}

/** Segments count over the whole run, from 1. */
export function segmentAt(round: number, part: number, of: number): number {
  return (round - 1) * of + part;
}

/** The part, from 1, whose update a segment ends with. */
export function partOfSegment(segment: number, of: number): number {
  return ((segment - 1) % of) + 1;
}

/** The round, from 1, that a segment belongs to; 0 for segment 0. */
export function roundOfSegment(segment: number, of: number): number {
  return Math.ceil(segment / of);
}

/** The last step of a segment, over the whole run, where a round has `steps` steps; 0 for segment 0. */
export function segmentEnd(segment: number, of: number, steps: number): number {
  if (segment === 0) return 0;
  return (roundOfSegment(segment, of) - 1) * steps + Math.floor((partOfSegment(segment, of) * steps) / of);
}

/** Throws `bad-job` where a round of so many steps has too few for its segments, or for the overlap. */
export function checkPlan(steps: number, { of, overlap }: PartPlan): void {
  const least = Math.floor(steps / of);
  if (least < 1)
    throw new FedStreamError(
      'bad-job',
      `a round of ${steps} steps cannot have ${of} parts: each part needs a step; raise train.localSteps`,
    );
  if (overlap > least)
    throw new FedStreamError(
      'bad-job',
      `overlap is ${overlap} steps, and the shortest of ${of} segments in a round of ${steps} steps has ${least}; an overlap is at most that`,
    );
}
