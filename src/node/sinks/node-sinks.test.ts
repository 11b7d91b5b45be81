// The built-in sinks: their files, their errors, and rows of one’s own.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, expect, test } from 'vitest';
import { z } from 'zod';
import { row } from '../../core/row.js';
import type { RunEvent } from '../../record/events.js';
import { eventStream } from '../../record/sinks/event-stream.js';
import { streamOutput } from './line-outputs.js';
import { nodeSinks, openSink } from './node-sinks.js';

const folder = mkdtempSync(join(tmpdir(), 'fedstream-sinks-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const event: RunEvent = { type: 'round-started', round: 1, run: 'r', time: '2026-01-02T03:04:05.000Z', atMs: 5 };
const LINE = '{"type":"round-started","run":"r","time":"2026-01-02T03:04:05.000Z","atMs":5,"round":1}\n';

async function emitOne(path: string): Promise<string> {
  const sink = await openSink({ type: 'jsonl', path });
  sink.emit(event);
  await sink.close();
  return readFileSync(path, 'utf8');
}

test('jsonl appends; half a line of a crash stays a line of its own', async () => {
  const path = join(folder, 'events.jsonl');
  expect(await emitOne(path)).toBe(LINE);
  expect(await emitOne(path)).toBe(LINE + LINE);
  writeFileSync(path, `${LINE}{"type":"rou`);
  expect(await emitOne(path)).toBe(`${LINE}{"type":"rou\n${LINE}`);
});

test.each([
  ['no folder above it', join(folder, 'none', 'x'), 'not-found', 'there is no such file'],
  ['a folder', folder, 'bad-argument', 'is no regular file'],
  ['a device', '/dev/null', 'bad-argument', 'is no regular file'],
])('jsonl refuses a path with %s', async (_, path, code, message) => {
  await expect(openSink({ type: 'jsonl', path })).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
});

test('jsonl does not wait for the reader of a pipe: it refuses one', async () => {
  const path = join(folder, 'fifo');
  expect(spawnSync('mkfifo', [path]).status).toBe(0);
  await expect(openSink({ type: 'jsonl', path })).rejects.toMatchObject({ code: 'bad-argument' });
});

test('a stream that breaks is told with its name', async () => {
  const stream = new PassThrough();
  stream.on('error', () => {});
  const output = streamOutput(stream, 'standard output');
  stream.destroy();
  await expect(output.write('x\n')).rejects.toMatchObject({ message: expect.stringContaining('cannot write events to standard output') });
});

test('what a choice may say is checked, and the names are listed', async () => {
  const choose = async (choice: unknown) => openSink(choice);
  const refused = (message: string) => ({ code: 'bad-argument', message });
  await expect(choose('jsonl')).rejects.toMatchObject(refused('sink "jsonl": path: Invalid input: expected string, received undefined'));
  await expect(choose({ type: 'jsonl', path: 'x', append: true })).rejects.toMatchObject(
    refused('sink {"type":"jsonl","path":"x","append":true}: append: unknown option of jsonl; it has path'),
  );
  await expect(choose({ type: 'webhook' })).rejects.toMatchObject(
    refused('sink {"type":"webhook"}: there is no sink "webhook"; the sinks are files, jsonl'),
  );
});

test('a row of one’s own is a sink like the others', async () => {
  const stream = eventStream();
  const mine = row('mine', z.strictObject({ level: z.int().default(3) }), () => async () => stream);
  const sink = await openSink('mine', [...nodeSinks, mine]);
  sink.emit(event);
  expect((await stream.next()).value).toEqual(event);
});
