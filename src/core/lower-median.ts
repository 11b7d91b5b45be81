// The median by which sites are measured against each other.

/**
 * The median; of an even number of values the lower of the two in the middle, so that half of the
 * sites do not decide alone. Undefined where there is no value.
 */
export function lowerMedian(values: readonly number[]): number | undefined {
  return [...values].sort((a, b) => a - b)[(values.length - 1) >>> 1];
}
