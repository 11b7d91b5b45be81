// What the server and the owner hear of a disk that takes nothing more.
import { expect, test } from 'vitest';
import { FedStreamError } from '../core/errors.js';
import { diskFault, failureWords } from './disk-fault.js';
import { siteTold } from './told.js';

function ioError(code: string): FedStreamError {
  const cause = Object.assign(new Error(`${code}: /home/anna/work`), { code });
  return new FedStreamError('io', `cannot write /home/anna/work/x: as the system says (${code})`, { cause });
}

test.each([
  ['ENOSPC', 'its disk is full'],
  ['EDQUOT', 'the quota of its disk is used up'],
  ['EROFS', 'its disk is read-only'],
  ['EACCES', 'it may not write to its folder'],
])('%s: the server hears what it is, and no path', (code, told) => {
  expect(siteTold(ioError(code), { errors: false })).toBe(told);
  const wrapped = new FedStreamError('io', 'the result could not be kept', { cause: ioError(code) });
  expect(siteTold(wrapped, { errors: false })).toBe(told);
});

test('the terminal has the path, and what to do', () => {
  expect(failureWords(ioError('ENOSPC'))).toMatch(/cannot write \/home\/anna\/work\/x.*--work/);
});

test('other errors keep their words', () => {
  expect(diskFault(ioError('EIO'))).toBeUndefined();
  expect(diskFault(new FedStreamError('limit', 'too long'))).toBeUndefined();
  const other = new FedStreamError('trainer', 'it crashed', { cause: new Error('x') });
  expect(failureWords(other)).toBe('it crashed');
  expect(siteTold(ioError('EIO'), { errors: false })).toMatch(/its system refused a read or a write/);
});
