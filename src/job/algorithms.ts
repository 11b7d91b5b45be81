// Algorithms: names for settings of a job that belong together, as the literature knows them.
import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';

/** One algorithm: the fields of a job that make it up. */
export interface Algorithm {
  /** The name that a job or `--algorithm` gives. */
  readonly name: string;
  /** One line for help: what it is, and its source. */
  readonly summary: string;
  /** The fields that it sets; a job that has one of them itself wins. */
  readonly job: Readonly<Record<string, unknown>>;
}

/** The algorithms that a job can name. */
export type AlgorithmTable = readonly Algorithm[];

const named = z.looseObject({ algorithm: z.string() });

/**
 * The job as it was written, with the fields of the algorithm that it names where it has none of
 * its own; objects (`train`) are joined field by field. Throws `bad-job` for an unknown name, with
 * those that there are, and for another workflow or aggregator than the algorithm's.
 */
export function withAlgorithm(value: unknown, algorithms: AlgorithmTable, source: string): unknown {
  const parsed = named.safeParse(value);
  if (!parsed.success) return value;
  const { algorithm } = parsed.data;
  const found = algorithms.find(({ name }) => name === algorithm);
  if (found) {
    for (const choice of ['workflow', 'aggregator'] as const) {
      const [own, other] = [typeOf(parsed.data[choice]), typeOf(found.job[choice])];
      if (own !== undefined && other !== undefined && own !== other)
        throw new FedStreamError(
          'bad-job',
          `${source}: ${choice}: the algorithm ${algorithm} has ${other}, and the job says ${own}; leave one out`,
        );
    }
    return joined(found.job, parsed.data);
  }
  const names = algorithms.map(({ name }) => name).join(', ');
  throw new FedStreamError(
    'bad-job',
    `${source}: algorithm: there is no algorithm ${JSON.stringify(algorithm)}; the algorithms are ${names}`,
  );
}

/** The name that a choice gives: alone, or as its `type`. */
function typeOf(choice: unknown): unknown {
  return isFields(choice) ? choice.type : choice;
}

/** `over` wins; objects that both have are joined, but for choices, which are taken whole. */
function joined(under: Readonly<Record<string, unknown>>, over: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const all: Record<string, unknown> = { ...under, ...over };
  for (const [name, value] of Object.entries(under)) {
    const own = over[name];
    if (isFields(value) && isFields(own) && !('type' in value)) all[name] = joined(value, own);
  }
  return all;
}

function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
