// Files and peers that write to the terminal: names in files, texts from a server, lines of a run.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { eventReporter } from '../../src/cli/progress.js';
import { html } from '../../src/cli/report/markup.js';
import { BUDGETS } from '../../src/core/budgets.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import { readText } from '../../src/core/storage-text.js';
import { parseJob } from '../../src/kit/kit.js';
import { openRunRecord, readRunRecord } from '../../src/record/run-record.js';
import { run, workFolder } from '../e2e/command.js';

const folder = workFolder();
const EVIL = '\u001b[2J\u009b31m\u202etxt\u200b\u2028\u0007';
const SEEN = '\\u001b[2J\\u009b31m\\u202etxt\\u200b\\u2028\\u0007';
const OBEYED = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

/** A safetensors file of one tensor. */
function tensorFile(name: string, tensor: string, dtype = 'F32'): string {
  const header = Buffer.from(JSON.stringify({ __metadata__: { [EVIL]: EVIL }, [tensor]: { dtype, shape: [1], data_offsets: [0, 4] } }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const path = join(folder, name);
  writeFileSync(path, Buffer.concat([length, header, Buffer.alloc(4)]));
  return path;
}

function checkLines(text: string): void {
  expect(text).toContain('\\u001b[2J');
  expect(text.split('\n').find((line) => OBEYED.test(line))).toBeUndefined();
}

test('inspect and compare show the names of a hostile file, and so do their errors', async () => {
  const a = tensorFile('a.safetensors', EVIL);
  const b = tensorFile('b.safetensors', `${EVIL}b`);
  const wrong = tensorFile('wrong.safetensors', EVIL, EVIL);
  for (const [args, code] of [
    [['inspect', a], 0],
    [['inspect', a, '--json'], 0],
    [['compare', a, a], 0],
    [['compare', a, a, '--json'], 0],
    [['compare', a, b], 2],
    [['inspect', wrong], 2],
  ] as const) {
    const found = await run([...args], folder);
    expect(found.code, found.stderr).toBe(code);
    checkLines(found.stdout + found.stderr);
  }
});

test('the progress of a run shows what a warning quotes', () => {
  const written: string[] = [];
  const stream = new Writable({
    write: (piece, _, done) => {
      written.push(String(piece));
      done();
    },
  }) as unknown as NodeJS.WriteStream;
  const reporter = eventReporter(parseJob({}, 'test'), stream);
  const stamp = { run: 'r', time: '2026-01-02T03:04:05.000Z', atMs: 1 };
  reporter.event({ type: 'warning', message: `round 1 goes on without a: ${EVIL}\nfedstream: all is well`, ...stamp });
  reporter.line(EVIL);
  expect(written.join('')).toBe(`warning: round 1 goes on without a: ${SEEN}\\u000afedstream: all is well\n${SEEN}\n`);
});

test('budget eventText: a text of megabytes among the events is cut, and the run can be read again', async () => {
  const files = memoryFolder('run');
  const record = await openRunRecord(files);
  record.emit({ type: 'warning', message: EVIL + 'x'.repeat(4e6) });
  record.emit({ type: 'run-finished', reason: EVIL.repeat(1e5) });
  await record.close();
  const { summary } = await readRunRecord(files);
  expect(summary.warnings[0]?.startsWith(`${SEEN}xxx`)).toBe(true);
  expect(summary.warnings[0]?.length).toBeLessThan(BUDGETS.eventText.limit + 100);
  checkLines((await readText(files, 'events.jsonl')) as string);
  checkLines((await readText(files, 'summary.json')) as string);
});

test('the report shows them too', () => {
  expect(html`<td>${EVIL}</td>`.text).toBe(`<td>${SEEN}</td>`);
});
