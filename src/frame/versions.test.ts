// Two ranges of versions agree on the highest in common, or one side is named as too old.
import { expect, test } from 'vitest';
import { commonVersion } from './versions.js';

const range = (oldest: number, newest = oldest) => ({ oldest, newest });

test.each([
  [range(1), range(1), 1],
  [range(1, 2), range(1), 1],
  [range(1, 2), range(2, 5), 2],
  [range(1, 2), range(1, 9), 2],
  [range(3, 8), range(1, 5), 5],
])('%o and %o speak %i', (own, theirs, spoken) => {
  expect(commonVersion(own, theirs, 'site-1')).toBe(spoken);
  expect(commonVersion(theirs, own, 'site-1')).toBe(spoken);
});

test('without a common version, each side says which of the two is too old', () => {
  expect(() => commonVersion(range(1, 2), range(3, 4), 'site-1')).toThrowError(
    expect.objectContaining({
      code: 'unsupported',
      message: 'site-1 speaks versions 3 to 4 of the protocol, this side 1 to 2: this side is too old; update FedStream here',
    }),
  );
  expect(() => commonVersion(range(3, 4), range(1, 2), 'server')).toThrowError(
    expect.objectContaining({
      code: 'unsupported',
      message: 'server speaks versions 1 to 2 of the protocol, this side 3 to 4: server is too old; update FedStream there',
    }),
  );
});
