// Errors of the operating system become advice for a person.
import { closeSync, openSync } from 'node:fs';
import { expect, test } from 'vitest';
import { FedStreamError } from '../../core/errors.js';
import { ioError } from './io-error.js';
import { NodeFile } from './node-file.js';

const systemError = (code: string): Error => Object.assign(new Error(`${code}: as the system says`), { code });

test('says what happened, to which file, and what to do', () => {
  expect(ioError(systemError('ENOSPC'), 'write', '/run/x').message).toBe(
    'cannot write /run/x: the disk is full; free some space, then run the command again (ENOSPC)',
  );
  expect(ioError(systemError('EACCES'), 'write', '/run/x')).toMatchObject({ code: 'io', message: expect.stringContaining('permission') });
  expect(ioError(systemError('ENOENT'), 'open', '/run/x')).toMatchObject({ code: 'not-found' });
});

test('keeps the cause, and the words of the system where there are no better ones', () => {
  const cause = systemError('EWHATEVER');
  expect(ioError(cause, 'open', '/run/x')).toMatchObject({ code: 'io', cause, message: expect.stringContaining('as the system says') });
  expect(ioError('text', 'open', '/run/x').message).toContain('text');
  const own = new FedStreamError('limit', 'too long');
  expect(ioError(own, 'open', '/run/x')).toBe(own);
});

test.runIf(process.platform === 'linux')('a disk that is full in the middle of a write', () => {
  const descriptor = openSync('/dev/full', 'r+');
  const file = new NodeFile(descriptor, 'spool');
  expect(() => file.write(new Uint8Array(10), 0)).toThrow(
    expect.objectContaining({ code: 'io', message: expect.stringMatching(/spool.*disk is full/) }),
  );
  closeSync(descriptor);
});
