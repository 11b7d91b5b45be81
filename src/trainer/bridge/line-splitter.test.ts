// The line splitter: pieces of any size, and a limit that holds before a line is whole.
import { expect, test } from 'vitest';
import { LineSplitter } from './line-splitter.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test.each([1, 2, 3, 7, 100])('lines come whole from pieces of %i bytes', (size) => {
  const splitter = new LineSplitter(64);
  const all = bytes('erste Zeile\n\nzweite: äöü\nohne Ende');
  const lines: string[] = [];
  for (let at = 0; at < all.length; at += size) {
    const piece = all.slice(at, at + size);
    lines.push(...splitter.push(piece));
    piece.fill(0);
  }
  expect(lines).toEqual(['erste Zeile', '', 'zweite: äöü']);
});

test('a line with its end may be as long as the limit, and not longer', () => {
  expect([...new LineSplitter(4).push(bytes('abc\n'))]).toEqual(['abc']);
  expect(() => [...new LineSplitter(4).push(bytes('abcd\n'))]).toThrow(/longer than 4 bytes/);
  const splitter = new LineSplitter(4);
  expect([...splitter.push(bytes('ab'))]).toEqual([]);
  expect(() => [...splitter.push(bytes('cd'))]).toThrow(/longer than 4 bytes/);
});
