// Rules over columns by hand, and the network that sorts them.
import { expect, test } from 'vitest';
import { randomStream } from '../core/random.js';
import { PLAIN_COLUMNS, sortingPairs, workOnColumns } from './columns.js';

test('the network sorts every column of zeros and ones, so every column (Knuth 5.3.4, theorem Z)', () => {
  for (let count = 1; count <= 12; count++) {
    const columns = 2 ** count;
    const rows = new Float32Array(count * columns);
    for (let column = 0; column < columns; column++)
      for (let row = 0; row < count; row++) rows[row * columns + column] = (column >> row) & 1;
    PLAIN_COLUMNS.sort(rows, count);
    for (let at = columns; at < rows.length; at++)
      if ((rows[at - columns] as number) > (rows[at] as number)) expect.unreachable(`${count} rows`);
  }
  expect([1, 2, 5, 8].map((count) => sortingPairs(count).length / 2)).toEqual([0, 1, 9, 19]);
});

test('large numbers of rows are sorted too', () => {
  const random = randomStream(5, 'rows');
  for (const count of [33, 100]) {
    const rows = Float32Array.from({ length: count * 70 }, () => random.normal());
    const expected = Array.from({ length: 70 }, (_, i) => Array.from({ length: count }, (_, row) => rows[row * 70 + i] as number));
    PLAIN_COLUMNS.sort(rows, count);
    for (const [i, column] of expected.entries())
      expect(Array.from({ length: count }, (_, row) => rows[row * 70 + i])).toEqual(column.sort((a, b) => a - b));
  }
});

/** Four rows of three columns. */
const rows = (): Float32Array => Float32Array.of(9, -1, 4, 1, 0, 4, 2, 3, 4, 100, 2, 4);

test('the middle values are averaged, and added', () => {
  const into = Float32Array.of(10, 20, 30);
  workOnColumns(PLAIN_COLUMNS, rows(), 4, { rule: 'middle', trim: 1, into });
  expect([...into]).toEqual([15.5, 21, 34]);
});

test('the values nearest to the median are averaged; of two that are as near, the smaller', () => {
  const into = new Float32Array(3);
  workOnColumns(PLAIN_COLUMNS, rows(), 4, { rule: 'nearMedian', keep: 3, into });
  // Medians 5.5, 1 and 4; −1 and 3 are as far from 1.
  expect([...into]).toEqual([Math.fround((1 + 2 + 9) / 3), Math.fround(1 / 3), 4].map((value) => expect.closeTo(value, 6)));
});

test('products of rows, each less another row', () => {
  const less = Float32Array.of(1, 1, 1);
  const { products } = workOnColumns(PLAIN_COLUMNS, Float32Array.of(1, 2, 3, 4, 5, 6), 2, { rule: 'products', less });
  expect(products).toEqual([5, 14, 14, 50]);
});

test('a value that is no number is refused, with its place', () => {
  const into = new Float32Array(2);
  const values = Float32Array.of(1, 1, 2, Number.POSITIVE_INFINITY, 3, Number.POSITIVE_INFINITY);
  expect(() => workOnColumns(PLAIN_COLUMNS, values, 3, { rule: 'middle', trim: 1, into })).toThrow(/element 1 is Infinity/);
});
