// Seeded random streams: the same seed and the same labels give the same numbers on every machine.
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

/** One stream of random numbers. */
export interface Random {
  /** Uniform in [0, 1), 53 bits. */
  uniform(): number;
  /** Uniform integer in [0, below). */
  integer(below: number): number;
  /** Standard normal (Box–Muller). */
  normal(): number;
}

/**
 * The stream of `seed` and `labels` (a site, a round, a purpose): streams of different labels are
 * independent.
 */
export function randomStream(seed: number, ...labels: readonly (string | number)[]): Random {
  const generator = xoroshiro128plus(mix(seed, labels.join('\u0000')));
  let spare: number | undefined;
  const uniform = (): number => uniformFloat64(generator);
  return {
    uniform,
    integer: (below) => uniformInt(generator, 0, below - 1),
    normal() {
      if (spare !== undefined) {
        const value = spare;
        spare = undefined;
        return value;
      }
      const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
      const angle = 2 * Math.PI * uniform();
      spare = radius * Math.sin(angle);
      return radius * Math.cos(angle);
    },
  };
}

/** Shuffles in place (Fisher–Yates). */
export function shuffle<T>(items: T[], random: Random): T[] {
  for (let last = items.length - 1; last > 0; last--) {
    const other = random.integer(last + 1);
    const kept = items[last] as T;
    items[last] = items[other] as T;
    items[other] = kept;
  }
  return items;
}

/** FNV-1a over the labels, started from the seed: 32 bits. */
function mix(seed: number, text: string): number {
  let hash = (0x811c9dc5 ^ seed) | 0;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash | 0;
}
