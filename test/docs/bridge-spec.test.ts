// Numbers and names in docs/spec/trainer-bridge.md are those of the code.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readSiteConfig } from '../../src/node/trainer/site-config.js';
import { EXTRA_NAME, MAX_EXTRAS, MODEL_NAME } from '../../src/tensor/extra-names.js';
import {
  BRIDGE_PROTOCOL,
  BRIDGE_VARIABLE,
  bridgeResultSchema,
  bridgeTaskSchema,
  extraFile,
  MAX_MESSAGE_BYTES,
  MAX_NUMBERS,
  MAX_OFFERED_TEXT_BYTES,
  programMessageSchema,
  siteMessageSchema,
} from '../../src/trainer/bridge/messages.js';

const page = readFileSync(new URL('../../docs/spec/trainer-bridge.md', import.meta.url), 'utf8');
const text = page.replaceAll(/\s+/g, ' ');
const MIB = 2 ** 20;

test('limits are those of the code', () => {
  expect(text).toContain(`at most ${MAX_MESSAGE_BYTES / MIB} MiB with it`);
  expect(text).toContain(`${MAX_OFFERED_TEXT_BYTES / 2 ** 10} KiB together`);
  expect(text).toContain(`further numbers by name, ${MAX_NUMBERS} at most`);
  expect(text).toContain(`\`figures\` of a task of training are numbers by name, ${MAX_NUMBERS} at most`);
  expect(text).toContain(`A message has ${MAX_EXTRAS} extras at most`);
  expect(text).toContain(`is not \`${MODEL_NAME}\``);
  expect(text.match(/\d+ [KM]iB/g)).toHaveLength(2);
  const [, longest] = /A name has 1 to (\d+) letters/.exec(text) ?? [];
  expect(EXTRA_NAME.test('x'.repeat(Number(longest)))).toBe(true);
  expect(EXTRA_NAME.test('x'.repeat(Number(longest) + 1))).toBe(false);
});

test('limits of texts and numbers hold as the page says', () => {
  const result = { type: 'result', task: 't' };
  const fits = (fields: object): boolean => bridgeResultSchema.safeParse({ ...result, ...fields }).success;
  expect(fits({ files: { 'config.json': 'x'.repeat(MAX_OFFERED_TEXT_BYTES) } })).toBe(true);
  expect(fits({ files: { 'config.json': 'x'.repeat(MAX_OFFERED_TEXT_BYTES), 'adapter_config.json': '1' } })).toBe(false);
  const numbers = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`m${index}`, index]));
  expect([fits({ metrics: numbers(MAX_NUMBERS) }), fits({ metrics: numbers(MAX_NUMBERS + 1) })]).toEqual([true, false]);
  expect([fits({ metrics: { ['x'.repeat(64)]: 1 } }), fits({ metrics: { ['x'.repeat(65)]: 1 } })]).toEqual([true, false]);
});

test('the protocol, its variable and its messages are those of the code', () => {
  expect(page).toContain(`\`protocol\`: ${BRIDGE_PROTOCOL}`);
  expect(page).toContain(`| \`${BRIDGE_VARIABLE}\` |`);
  const types = [...page.matchAll(/^\| `([a-z]+)` \| (?!what)/gm)].map(([, name]) => name);
  const known = [...programMessageSchema.options, ...siteMessageSchema.options].map(({ shape }) => shape.type.value);
  expect(types.filter((name) => !bridgeTaskSchema.shape.kind.options.includes(name as 'train'))).toEqual(known);
  expect(types.filter((name) => !(known as (string | undefined)[]).includes(name))).toEqual(bridgeTaskSchema.shape.kind.options);
  const [, fields] = /^\| `task` \| (.*?) \|/m.exec(page) ?? [];
  const { type: _, ...shape } = bridgeTaskSchema.shape;
  expect(fields?.replaceAll(/[`?\s]/g, '').split(',')).toEqual(Object.keys(shape));
});

test('the example of a path is what the code makes', () => {
  const [, result] = /With `"result":"([^"]+)"`/.exec(text) ?? [];
  expect(text).toContain(`has written \`${extraFile(result as string, 'control')}\``);
});

test('defaults of times are those of the code', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fedstream-bridge-spec-'));
  const file = join(folder, 'site.json');
  writeFileSync(file, JSON.stringify({ trainers: { own: { command: ['x'] } } }));
  const { silenceMs, stopMs } = readSiteConfig(file).trainers.own ?? { silenceMs: 0, stopMs: 0 };
  rmSync(folder, { recursive: true });
  expect(text).toContain(`${silenceMs / 60_000} minutes by default`);
  expect(text).toContain(`(${stopMs / 1000} s by default`);
});
