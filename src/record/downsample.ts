// A series of points that never grows beyond a limit: when it is full, neighbours are merged two by
// two.

/** A merged point, standing for `count` original points. */
interface Bucket {
  xSum: number;
  ySum: number;
  yMax: number;
  count: number;
}

/** Points of a curve; `x` and `y` have the same length. */
export interface Series {
  readonly x: readonly number[];
  readonly y: readonly number[];
  /** Original points in each point; 1 where none were merged. */
  readonly pointsEach: number;
}

/**
 * Keeps at most `limit` points (an even number); `y` of a merged point is the mean or the highest
 * of its points.
 */
export class Downsampler {
  readonly #limit: number;
  readonly #keep: 'mean' | 'max';
  #buckets: Bucket[] = [];
  #width = 1;

  constructor(limit: number, keep: 'mean' | 'max') {
    this.#limit = limit;
    this.#keep = keep;
  }

  add(x: number, y: number): void {
    const last = this.#buckets.at(-1);
    if (last && last.count < this.#width) {
      merge(last, { xSum: x, ySum: y, yMax: y, count: 1 });
      return;
    }
    if (this.#buckets.length >= this.#limit) this.#halve();
    this.#buckets.push({ xSum: x, ySum: y, yMax: y, count: 1 });
  }

  series(): Series {
    const y = (bucket: Bucket): number => (this.#keep === 'max' ? bucket.yMax : bucket.ySum / bucket.count);
    return { x: this.#buckets.map((bucket) => bucket.xSum / bucket.count), y: this.#buckets.map(y), pointsEach: this.#width };
  }

  #halve(): void {
    const halves: Bucket[] = [];
    for (const [index, bucket] of this.#buckets.entries()) {
      if (index % 2 === 0) halves.push(bucket);
      else merge(halves.at(-1) as Bucket, bucket);
    }
    this.#buckets = halves;
    this.#width *= 2;
  }
}

function merge(into: Bucket, other: Bucket): void {
  into.xSum += other.xSum;
  into.ySum += other.ySum;
  into.yMax = Math.max(into.yMax, other.yMax);
  into.count += other.count;
}
