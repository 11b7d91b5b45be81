// The numbers of the wire in docs/spec are those of the code.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { DEFAULT_MAX_FRAME_BYTES } from '../../src/driver/driver.js';
import { HTTP_HEADER, HTTP_PATH, HTTP_VERSION } from '../../src/driver/http-protocol.js';
import { SCHEMES } from '../../src/driver/scheme.js';
import { encodeJoin, MAX_STRIPES } from '../../src/driver/stripe-join.js';
import { SUBPROTOCOL } from '../../src/driver/web-socket-client.js';
import { STEPS_A_REPORT } from '../../src/exchange/protocol.js';
import { resultSchema, taskSchema } from '../../src/exchange/task.js';
import { encodeFrame, FRAME_TYPES, MAX_FRAME_HEADER_BYTES, PREFIX_BYTES } from '../../src/frame/frame.js';
import { FEATURES } from '../../src/frame/hello.js';
import { DEFAULT_IDLE_MS } from '../../src/frame/session.js';
import { PROTOCOL_VERSIONS } from '../../src/frame/versions.js';
import { HTTP2_WINDOW_BYTES } from '../../src/node/drivers/grpc-stream.js';
import { nodeDrivers } from '../../src/node/drivers/node-drivers.js';
import { CHECKSUM_BYTES } from '../../src/stream/digest.js';
import { checksumOf } from '../../src/stream/hashed-memory.js';
import { LEAF_BYTES } from '../../src/stream/leaf-sums.js';
import { DEFAULT_WINDOW_BYTES, MAX_WINDOW_BYTES, MIN_WINDOW_BYTES, SMALLEST_CHUNK_BYTES } from '../../src/stream/path.js';
import { LARGEST_CHUNK_BYTES } from '../../src/stream/receive-window.js';
import { encodeDataHeader, framingBytes, MAX_CHUNK_BYTES, MIN_CHUNK_BYTES } from '../../src/stream/stream-frames.js';
import { MAX_EXTRAS } from '../../src/tensor/extra-names.js';
import { STREAMING_MODES } from '../../src/transfer/streaming-mode.js';

const spec = (name: string): string => readFileSync(new URL(`../../docs/spec/${name}.md`, import.meta.url), 'utf8');
/** The page as one line: where its lines wrap says nothing. */
const said = (name: string): string => spec(name).replaceAll(/\s+/g, ' ');

test('the table of frame types is that of the code', () => {
  const rows = [...spec('frame').matchAll(/^\| (\d+) \| `([a-z]+)` \|/gm)].map(([, code, name]) => [name, Number(code)]);
  expect(Object.fromEntries(rows)).toEqual(FRAME_TYPES);
});

test('the example frame is what the code makes', () => {
  const [, example] = /```\n(46534d31[^`]*)```/.exec(spec('frame')) ?? [];
  const bytes = Buffer.concat(encodeFrame('data', 7, Uint8Array.of(0xaa, 0xbb), Uint8Array.of(1, 2, 3)));
  expect(example?.replaceAll(/\s/g, '')).toBe(bytes.toString('hex'));
});

test('limits and defaults are those of the code', () => {
  expect([PREFIX_BYTES, MAX_FRAME_HEADER_BYTES, DEFAULT_MAX_FRAME_BYTES]).toEqual([24, 65_536, 4 * 2 ** 20 + 4096]);
  expect(said('frame')).toContain('at most 65,536');
  expect(said('frame')).toContain('4 MiB + 4 KiB');
  expect(said('session')).toContain(`oldest version of the protocol that this side speaks: ${PROTOCOL_VERSIONS.oldest} |`);
  expect(said('session')).toContain(`newest version that it speaks: ${PROTOCOL_VERSIONS.newest}.`);
  expect(said('session')).toContain(`(${DEFAULT_IDLE_MS / 1000} s by default)`);
  expect(said('stream')).toContain(`leaves of ${LEAF_BYTES / 2 ** 20} MiB`);
  expect(said('stream')).toContain(`${DEFAULT_WINDOW_BYTES / 2 ** 10} KiB in the beginning`);
  expect(said('stream')).toContain(`at least ${MIN_WINDOW_BYTES / 2 ** 10} KiB, at most ${MAX_WINDOW_BYTES / 2 ** 20} MiB`);
  expect(said('stream')).toContain(`from ${SMALLEST_CHUNK_BYTES / 2 ** 10} KiB to ${LARGEST_CHUNK_BYTES / 2 ** 20} MiB`);
  expect(said('stream')).toContain(`from ${MIN_CHUNK_BYTES / 2 ** 10} KiB to ${MAX_CHUNK_BYTES / 2 ** 20} MiB`);
  expect(said('transfer')).toContain(`${framingBytes(0)} bytes of framing a chunk, and ${CHECKSUM_BYTES} a leaf`);
});

test('features are those of the code', () => {
  const [, table = ''] = /\| feature \| meaning \|\n([\s\S]*?)\n\n/.exec(spec('session')) ?? [];
  expect([...table.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, name]) => name)).toEqual([...FEATURES]);
});

test('drivers are those of the code', () => {
  const text = said('drivers');
  for (const scheme of SCHEMES) expect(text, scheme).toMatch(new RegExp(`\`${scheme}://`));
  expect([...nodeDrivers().schemes].sort()).toEqual([...SCHEMES].sort());
  expect(text).toContain(`\`${SUBPROTOCOL}\``);
  expect(text).toContain(`\`${HTTP_PATH}\``);
  expect(text).toContain(`\`${HTTP_HEADER}: ${HTTP_VERSION}\``);
  expect(text).toContain(`HTTP/2 windows are ${HTTP2_WINDOW_BYTES / 2 ** 20} MiB`);
  expect(readFileSync(new URL('../../docs/job.md', import.meta.url), 'utf8')).toContain(
    SCHEMES.map((scheme) => `\`${scheme}\``).join(', '),
  );
});

test('the header of data and its checksum are as described', async () => {
  const header = encodeDataHeader(0x0102, [checksumOf(new Uint8Array(0))]);
  expect(header.length).toBe(8 + CHECKSUM_BYTES);
  const [, empty] = /of no bytes, `([0-9a-f]{16})`/.exec(said('stream')) ?? [];
  expect(Buffer.from(header).toString('hex')).toBe(`0201000000000000${empty}`);
});

test('the first frame of a stripe is as described', () => {
  const join = encodeJoin({ group: new Uint8Array(16), index: 1, count: 4 });
  expect(said('drivers')).toContain(`${join.length} bytes: \`${Buffer.from(join.subarray(0, 4)).toString('latin1')}\``);
  expect(said('drivers')).toContain(`2 to ${MAX_STRIPES} connections`);
});

test('every streaming mode has its row', () => {
  const rows = [...spec('transfer').matchAll(/^\| `([a-z]+)` \|/gm)].map(([, name]) => name);
  expect(rows).toEqual([...STREAMING_MODES]);
});

test('every link between the pages of docs/spec has a target', () => {
  for (const page of ['frame', 'session', 'stream', 'message', 'spool', 'transfer']) {
    for (const [, target] of spec(page).matchAll(/\]\(([^)h][^)]*)\)/g)) {
      expect(() => readFileSync(new URL(`../../docs/spec/${target}`, import.meta.url)), `${page}.md: ${target}`).not.toThrow();
    }
  }
});

test('docs/spec/run.md has every field of a task and of an answer, and the limits of the code', () => {
  const page = spec('run');
  const rows = (heading: string): string[] => {
    const section = page.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
    const cells = section.split('\n').flatMap((line) => /^\| (`.*?) \|/.exec(line)?.[1] ?? []);
    return cells.flatMap((cell) => [...cell.matchAll(/`([A-Za-z-]+)`/g)].map(([, name]) => name as string)).sort();
  };
  expect(rows('Task')).toEqual(Object.keys(taskSchema.shape).sort());
  expect(rows('Answer')).toEqual(Object.keys(resultSchema.shape).sort());
  expect(rows('Requests of a site')).toEqual(['about', 'evaluated', 'fail', 'has-base', 'join', 'next', 'progress', 'retrieve']);
  expect(said('run')).toContain(`\`steps\` are at most ${STEPS_A_REPORT}`);
  expect(said('run')).toContain(`at most ${MAX_EXTRAS} others go with it`);
});
