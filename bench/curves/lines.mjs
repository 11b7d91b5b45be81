// Tells a straight line from one with a knee.
import { lowerMedian } from '../../dist/core/lower-median.js';

/** A memory that grows by no more than this, in all, is taken as flat: that much is noise of a heap. */
const FLAT_SHARE = 0.15;
const FLAT_MIB = 24;
/** A stretch is a knee where its slope is so many times the usual one, or so much smaller. */
const KNEE = 1.6;
/** A stretch that differs from the line by less than this share of the largest value says nothing. */
const NOISE = 0.1;

/** The least-squares line through points `[x, y]`: `{slope, start}`. */
export function lineThrough(points) {
  const mean = (of) => points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [meanX, meanY] = [mean(([x]) => x), mean(([, y]) => y)];
  const spread = mean(([x]) => (x - meanX) ** 2);
  const slope = spread > 0 ? mean(([x, y]) => (x - meanX) * (y - meanY)) / spread : 0;
  return { slope, start: meanY - slope * meanX };
}

/**
 * The stretches between neighbouring points, `[x, y]` in the order of x, whose slope is not the usual
 * one, the median of all stretches: `[{from, to, times}]`, with the slope as a multiple of that; empty
 * for a straight line.
 */
export function knees(points) {
  if (points.length < 3) return [];
  const stretches = points.slice(1).map(([x, y], i) => ({ from: points[i][0], to: x, width: x - points[i][0], rise: y - points[i][1] }));
  const largest = Math.max(...points.map(([, y]) => Math.abs(y)));
  const usual = lowerMedian(stretches.map(({ rise, width }) => rise / width));
  return stretches.flatMap(({ from, to, width, rise }) => {
    const times = rise / width / usual;
    const isSmall = Math.abs(rise - usual * width) < NOISE * largest;
    const isStraight = usual > 0 && times < KNEE && times > 1 / KNEE;
    return isSmall || isStraight ? [] : [{ from, to, times }];
  });
}

/** True where all values, in MiB, are the same but for noise. */
export function isFlat(values) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return most - least <= FLAT_SHARE * least + FLAT_MIB;
}
