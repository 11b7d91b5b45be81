// Lines of a log file, and files that cannot be written.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FedStreamError } from '../../core/errors.js';
import { fileLogger } from './log-file.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fedstream-log-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const read = (path: string): Record<string, unknown>[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test('a line is in the file as soon as it was logged, with its level, time and name', () => {
  const path = join(folder, 'logs/server.log');
  const log = fileLogger(path, { name: 'server' });
  log.info({ round: 1, site: 'a"b\n' }, 'the round begins');
  expect(read(path)).toEqual([
    { level: 'info', time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/), name: 'server', round: 1, site: 'a"b\n', msg: 'the round begins' },
  ]);
  log.close();
});

test('keeps what an earlier process wrote, drops lines below its level and after its end', () => {
  const path = join(folder, 'site-1.log');
  const first = fileLogger(path, { name: 'site-1', level: 'warn' });
  first.info({}, 'not this');
  first.warn({}, 'one');
  first.close();
  first.error({}, 'too late');
  first.close();
  const second = fileLogger(path, { name: 'site-1', level: 'debug' });
  second.debug({}, 'two');
  second.close();
  expect(read(path).map((line) => line.msg)).toEqual(['one', 'two']);
});

test('a place that cannot be written is told with its name', () => {
  expect(() => fileLogger('/dev/null/x.log', { name: 'x' })).toThrow(FedStreamError);
  expect(() => fileLogger('/dev/null/x.log', { name: 'x' })).toThrow(/\/dev\/null\/x\.log/);
});

test.runIf(process.platform === 'linux')('a full disk does not throw', () => {
  const log = fileLogger('/dev/full', { name: 'x' });
  expect(() => log.error({}, 'lost')).not.toThrow();
  log.close();
});
