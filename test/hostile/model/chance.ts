// Choices of a seeded stream of random numbers.
import type { Random } from '../../../src/core/random.js';

export function pick<T>(random: Random, items: readonly T[]): T {
  return items[random.integer(items.length)] as T;
}

export function chance(random: Random, probability: number): boolean {
  return random.uniform() < probability;
}

/** Picks by weight; weights of 0 are never picked. Undefined where all are 0. */
export function weighted<T extends { readonly weight: number }>(random: Random, items: readonly T[]): T | undefined {
  let at = random.uniform() * items.reduce((sum, { weight }) => sum + weight, 0);
  for (const item of items) {
    if (at < item.weight) return item;
    at -= item.weight;
  }
  return undefined;
}

/** Bytes that mean nothing. */
export function noise(random: Random, most: number): Uint8Array {
  return Uint8Array.from({ length: random.integer(most + 1) }, () => random.integer(256));
}
