// The advice on releases: which side is older, and where to update FedStream.
import { expect, test } from 'vitest';
import { FedStreamError } from '../core/errors.js';
import { whichIsOlder, withAdvice } from './which-is-older.js';

const advice = (own: string, release: string | undefined) => whichIsOlder({ peer: 'the server', own, release });

test('the older side is named, with both releases', () => {
  expect(advice('0.1.0', '0.2.0')).toBe("this side has FedStream 0.1.0, which is older than the server's 0.2.0: update FedStream here");
  expect(advice('0.10.0', '0.9.0')).toBe("the server has FedStream 0.9.0, which is older than this side's 0.10.0: update FedStream there");
  expect(advice('0.2.0', undefined)).toMatch(/does not say its release.*older.*0\.2\.0: update FedStream there/);
  expect(advice('0.2.0', '0.2.0')).toMatch(/both sides have FedStream 0\.2\.0.*different kits/);
});

test('the error stays what it is', () => {
  const error = new FedStreamError('bad-job', 'the job: foo: Unrecognized key', { cause: new Error('why') });
  expect(withAdvice(error, { peer: 'the server', release: '99.0.0' })).toMatchObject({
    code: 'bad-job',
    message: expect.stringMatching(/^the job: foo: Unrecognized key; this side has FedStream .* update FedStream here$/),
    cause: error.cause,
  });
});
