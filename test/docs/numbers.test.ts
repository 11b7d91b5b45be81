// Limits and defaults in the pages are those of the code; wire-spec.test.ts checks the wire.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parseCodecName } from '../../src/codec/codec-name.js';
import { BLOCK_SIZES, referenceCodecs } from '../../src/codec/codec-table.js';
import { BUDGETS, type BudgetName } from '../../src/core/budgets.js';
import { DEFAULT_CODING } from '../../src/filter/coding.js';
import { parseJob } from '../../src/kit/kit.js';

const src = fileURLToPath(new URL('../../src', import.meta.url));
const docs = fileURLToPath(new URL('../../docs', import.meta.url));

/** A page as one line, since the wrapping of lines does not matter. */
const page = (name: string): string => oneLine(readFileSync(join(docs, `${name}.md`), 'utf8'));
const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ');

/** The value of a module's constant, exported or not, computed from its expression. */
function constant(file: string, name: string): number {
  const path = join(src, file);
  const text = readFileSync(path, 'utf8');
  const [, expression] = new RegExp(`^(?:export )?const ${name}(?:: \\w+)? = ([^;]+);`, 'm').exec(text) ?? [];
  if (expression === undefined) {
    const [, from] = new RegExp(`^import [^;]*\\b${name}\\b[^;]*from '(\\.[^']+)\\.js'`, 'm').exec(text) ?? [];
    if (from === undefined) throw new Error(`src/${file} has no constant ${name}: name the new place here, and look at the page`);
    return constant(`${join(dirname(file), from)}.ts`, name);
  }
  const budgets = expression.replaceAll(/\bBUDGETS\.(\w+)\.limit\b/g, (_, budget: BudgetName) => String(BUDGETS[budget].limit));
  const spelled = budgets.replaceAll(/\b[A-Z][A-Z0-9_]*\b/g, (inner) => String(constant(file, inner)));
  if (!/^[\d\s_.e+*/()-]+$/.test(spelled)) throw new Error(`src/${file}: ${name} = ${expression} is no number`);
  return new Function(`return (${spelled});`)() as number;
}

const MIB = 2 ** 20;
/** Numbers that pages write as words. */
const WORDS = ['none', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'];
/** 65536 as pages write it: 65,536. */
const grouped = (value: number): string => value.toLocaleString('en-US');

describe('the reader of constants', () => {
  test('computes, follows names and imports', () => {
    expect(constant('stream/leaf-sums.ts', 'LEAF_BYTES')).toBe(1_048_576);
    expect(constant('stream/path.ts', 'DEFAULT_WINDOW_BYTES')).toBe(524_288);
    expect(constant('stream/receive-window.ts', 'LARGEST_CHUNK_BYTES')).toBe(1_048_576);
  });

  test('names a missing constant, and one that is no number', () => {
    expect(() => constant('stream/path.ts', 'GONE')).toThrow('src/stream/path.ts has no constant GONE');
    expect(() => constant('codec/codec-table.ts', 'BLOCK_SIZES')).toThrow('is no number');
  });
});

/** Sentences by page, with each number from the code. */
const SAID: Readonly<Record<string, () => readonly string[]>> = {
  'spec/gguf': () => [
    `| ${grouped(BUDGETS.ggufTensors.limit)}; ${grouped(BUDGETS.ggufFields.limit)} |`,
    `| ${BUDGETS.ggufFieldBytes.limit / MIB} MiB |`,
    `| ${grouped(BUDGETS.ggufListItems.limit)} |`,
    `| ${grouped(constant('tensor/tensor-name.ts', 'MAX_TENSOR_NAME'))} characters |`,
    `| 2^${Math.log2(constant('tensor/gguf/gguf-header.ts', 'MAX_ALIGNMENT'))} |`,
    `| ${constant('tensor/gguf/gguf-header.ts', 'MAX_SIDES')}; 2^53 |`,
    `a window of ${constant('tensor/gguf/gguf-cursor.ts', 'WINDOW_BYTES') / 1024} KiB`,
  ],
  'spec/frame': () => [
    `nested at most ${constant('frame/msgpack-check.ts', 'MAX_DEPTH')} deep`,
    `${BUDGETS.helloItems.limit} in a \`hello\`, ${grouped(BUDGETS.headerItems.limit)} in any other header, ${grouped(BUDGETS.messageItems.limit)} in a body`,
    ...['maxStrLength', 'maxBinLength'].map((name) => `A string or a binary has at most 2^${Math.log2(limitOfMsgpack(name))} bytes`),
    `an array ${grouped(limitOfMsgpack('maxArrayLength'))} items, a map ${grouped(limitOfMsgpack('maxMapLength'))} entries`,
  ],
  'spec/session': () => [
    `${grouped(constant('frame/hello.ts', 'MIN_IDLE_MS'))} to ${grouped(constant('frame/hello.ts', 'MAX_IDLE_MS'))} ms`,
    `${constant('frame/proof.ts', 'NONCE_BYTES')} random bytes, new in every hello`,
    `whose digits are ${constant('frame/token.ts', 'SECRET_BYTES')} random bytes`,
    `fewer than ${constant('frame/token.ts', 'LEAST_DIFFERENT_BYTES')} different bytes`,
    `waits ${constant('hub/refused-peers.ts', 'FIRST_MS')} ms, each further one twice as long, up to ${BUDGETS.refusalPauseMs.limit / 1000} s`,
    `half of them are forgotten after ${constant('hub/refused-peers.ts', 'HALF_LIFE_MS') / 1000} s`,
    `At most ${BUDGETS.refusedOfAddress.limit} peers of an address wait so`,
    `at most ${constant('frame/hello.ts', 'MAX_FEATURES')} texts of at most ${constant('frame/hello.ts', 'MAX_FEATURE_CHARACTERS')} characters`,
    `counted in ${WORDS[constant('frame/session.ts', 'SILENT_TICKS')]} ticks`,
    `control beyond ${BUDGETS.controlBytes.limit / MIB} MiB`,
    `at most ${BUDGETS.helloBytes.limit / 1024} KiB`,
    `at most ${WORDS[constant('frame/frame-writer.ts', 'BULK_IN_FLIGHT')]} bulk frames`,
    // The slowest path on which a chunk still arrives within the limit.
    `${constant('frame/session.ts', 'DEFAULT_IDLE_MS') / 1000} s is enough for ${Math.round((MIB * 8) / constant('frame/session.ts', 'DEFAULT_IDLE_MS') / 10) * 10} kbit/s`,
  ],
  'spec/message': () => [
    `A peer may have ${BUDGETS.openRequests.limit} requests under way, with ${BUDGETS.openRequestBytes.limit / MIB} MiB of bodies`,
  ],
  retrievers: () => [`sends ${WORDS[BUDGETS.openSends.limit]} objects at once`, `for ${BUDGETS.sendSilenceMs.limit / 60_000} minutes`],
  'spec/stream': () => [
    `${constant('stream/receive-window.ts', 'CHUNK_MS')} ms of the path`,
    `round trips and ${constant('stream/path.ts', 'SLACK_MS')} ms`,
    `takes longer than ${WORDS[constant('stream/path.ts', 'WAIT_ROUND_TRIPS')]} round trips and ${constant('stream/path.ts', 'WAIT_MS')} ms, ${WORDS[constant('stream/path.ts', 'PROBES')]} times`,
    `up to ${WORDS[constant('stream/window-breadth.ts', 'MOST')]} round trips`,
    `each ${WORDS[constant('stream/window-breadth.ts', 'STALLED')]} of ${WORDS[constant('stream/window-breadth.ts', 'WATCHED')]} intervals`,
    `very ${constant('stream/window-breadth.ts', 'PAUSE_INTERVALS')} intervals`,
    `After ${grouped(BUDGETS.streamRetries.limit)} retries`,
    `${BUDGETS.incomingStreams.limit} streams of one peer are taken at once, ${WORDS[BUDGETS.unacceptedStreams.limit]} of them before`,
    `at most ${BUDGETS.earlyBytes.limit / MIB} MiB`,
  ],
  'spec/drivers': () => [
    `it waits ${BUDGETS.handshakeMs.limit / 1000} s for the next request`,
    `The server waits ${BUDGETS.handshakeMs.limit / 1000} s for all of them`,
    `A connection has ${BUDGETS.handshakeMs.limit / 1000} s for its handshake`,
    `${BUDGETS.helloMs.limit / 1000} s from accept to a hello`,
    `At most ${grouped(BUDGETS.stripeGroups.limit)} groups may be incomplete, ${BUDGETS.stripeGroupsOfAddress.limit} of one address`,
    `nothing was sent for ${constant('node/drivers/http-uplink.ts', 'PAUSE_MS')} ms`,
    `at most ${BUDGETS.httpRequestsAhead.limit} requests that come before their turn`,
    `At most ${BUDGETS.pendingOfAddress.limit} pending connections of one address`,
    `and ${grouped(BUDGETS.pendingConnections.limit)} in all`,
    `up to ${BUDGETS.httpKeptSockets.limit} idle sockets of a connection`,
    `where all are younger than ${constant('driver/connection-gate.ts', 'YOUNG_MS') / 1000} s`,
    `the file descriptors of the process, ${BUDGETS.reservedDescriptors.limit} or a quarter`,
    `is opened again for ${constant('node/storage/when-descriptors.ts', 'MOST_MS') / 1000} s`,
  ],
  'spec/spool': () => [
    `at most ${constant('transfer/object.ts', 'MAX_MANIFEST_BYTES') / MIB} MiB`,
    `At most ${grouped(constant('tensor/manifest-reader.ts', 'MAX_TENSORS'))}; names are unique, at most ${grouped(constant('tensor/tensor-name.ts', 'MAX_TENSOR_NAME'))} characters`,
    `${grouped(constant('tensor/manifest-reader.ts', 'CHUNK_MULTIPLE'))} to 2^${Math.log2(constant('tensor/manifest-reader.ts', 'MAX_CHUNK_ELEMENTS'))}, a multiple of ${grouped(constant('tensor/manifest-reader.ts', 'CHUNK_MULTIPLE'))}`,
    `"chunkElements": ${constant('tensor/manifest.ts', 'CHUNK_ELEMENTS')}`,
  ],
  'spec/codecs': () => [
    `a multiple of ${grouped(constant('tensor/manifest-reader.ts', 'CHUNK_MULTIPLE'))}; ${grouped(constant('tensor/manifest.ts', 'CHUNK_ELEMENTS'))} by default`,
    `a power of two from ${BLOCK_SIZES.smallest} to ${grouped(BLOCK_SIZES.largest)}`,
    `| \`blockwise8\` | ${parseCodecName('blockwise8', referenceCodecs).blockSize} |`,
    `| \`fp4\`, \`nf4\` | ${parseCodecName('nf4', referenceCodecs).blockSize} | \`false\` |`,
    `| \`u1\`, \`u2\`, \`u4\` | ${parseCodecName('u4', referenceCodecs).blockSize} |`,
  ],
  'spec/safetensors': () => [
    `${constant('tensor/safetensors-header.ts', 'MAX_HEADER_BYTES') / 1e6} MB, as in the reference implementation`,
    `above ${constant('tensor/model-folder.ts', 'MAX_SHARD_BYTES') / 1e9} GB becomes shards`,
  ],
  'spec/updates': () => [`at most ${constant('exchange/task.ts', 'MAX_UPDATES')}`],
  'model-files': () => [
    `shards of ${constant('tensor/model-folder.ts', 'MAX_SHARD_BYTES') / 1e9} GB`,
    `a power of two from ${BLOCK_SIZES.smallest} to ${grouped(BLOCK_SIZES.largest)}`,
    `streaming over ${constant('cli/bench/codecs.ts', 'STREAM_MB')} MB`,
  ],
  proxies: () => [
    `At most ${BUDGETS.pendingOfAddress.limit} of them may be connecting`,
    `every quarter of the job's \`idleMs\`, every ${parseJob({}, 'test').idleMs / 4000} s by default`,
    `nothing was sent for ${constant('node/drivers/http-uplink.ts', 'PAUSE_MS')} ms`,
    `goes on without it after ${constant('node/drivers/grpc-client.ts', 'HEAD_MS')} ms`,
  ],
  site: () => [
    `| \`silenceMs\` | ${constant('node/trainer/site-config.ts', 'DEFAULT_SILENCE_MS')} |`,
    `| \`stopMs\` | ${constant('node/trainer/site-config.ts', 'DEFAULT_STOP_MS')} |`,
  ],
  trainer: () => [`It ends at ${Math.round(constant('trainer/llama/arena.ts', 'MAX_ARENA_BYTES') / 2 ** 30)} GiB`],
  job: () => [
    `| ${constant('node/run/prepare-run.ts', 'DEFAULT_LOCAL_STEPS')} steps |`,
    `some ${constant('node/run/prepare-run.ts', 'TOKENS_A_BATCH')} tokens`,
    `fit in, at most ${constant('node/run/prepare-run.ts', 'LONGEST_DEFAULT')} |`,
    `tensors under ${constant('filter/policy.ts', 'SMALL_TENSOR_ELEMENTS')} elements stay as they are`,
    `| \`quantize\` | \`${DEFAULT_CODING}\` |`,
  ],
};

function limitOfMsgpack(name: string): number {
  const [, base, exponent] = new RegExp(`${name}: (\\d+) \\*\\* (\\d+)`).exec(readFileSync(join(src, 'frame/pack.ts'), 'utf8')) ?? [];
  return Number(base) ** Number(exponent);
}

test.each(Object.entries(SAID))('docs/%s.md has the numbers of the code', (name, said) => {
  expect(existsSync(join(docs, `${name}.md`))).toBe(true);
  const text = page(name);
  for (const phrase of said()) expect(text).toContain(phrase);
});

describe('the defaults of a job', () => {
  const job = parseJob({}, 'test') as unknown as Record<string, unknown>;
  const rows = new Map<string, string>();
  for (const line of readFileSync(join(docs, 'job.md'), 'utf8').split('\n## ')[0]?.split('\n') ?? []) {
    const [, names = '', values = ''] = line.split('|').map((cell) => cell.trim());
    const fields = [...names.matchAll(/`([A-Za-z0-9.]+)`/g)].map(([, field]) => field as string);
    const prefix = fields[0]?.includes('.') ? `${fields[0].split('.')[0]}.` : '';
    const cells = fields.length > 1 ? values.split(values.includes('; ') ? '; ' : ', ') : [values];
    for (const [i, field] of fields.entries()) rows.set(field.includes('.') ? field : prefix + field, cells[i] ?? '');
  }

  test('every field that has a default has a row', () => {
    const train = Object.keys(job.train as object).map((field) => `train.${field}`);
    const fields = [...Object.keys(job).filter((field) => field !== 'train'), ...train];
    expect(fields.filter((field) => !rows.has(field))).toEqual([]);
  });

  const plain = [...Object.entries(job), ...Object.entries(job.train as object).map(([field, value]) => [`train.${field}`, value] as const)]
    .filter(([, value]) => ['number', 'string', 'boolean'].includes(typeof value))
    .map(([field, value]) => [field, value] as const);
  test.each(plain)('%s is %s', (field, value) => {
    const said = (rows.get(field) ?? '').replaceAll('`', '');
    expect(typeof value === 'number' ? Number(said) : said).toBe(typeof value === 'boolean' ? String(value) : value);
  });

  test('the default model, and its data', () => {
    for (const [field, value] of Object.entries(job.model as object))
      expect(page('job')).toMatch(new RegExp(`\`${field}\` (${value}|${Number(value).toExponential()})[,.]`));
    expect(JSON.parse((rows.get('data') ?? '').replaceAll('`', ''))).toEqual(job.data);
  });
});
