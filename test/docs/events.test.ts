// docs/events.md describes every event and field as the schema does: names, types, optional fields;
// and its code runs.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { z } from 'zod';
import { nodeSinks } from '../../src/node/sinks/node-sinks.js';
import { parseEventLine } from '../../src/record/event-lines.js';
import { EVENT_KINDS, stampSchema } from '../../src/record/events.js';
import type { EventStream } from '../../src/record/sinks/event-stream.js';
import type { Sink } from '../../src/record/sinks/sink.js';
import { sampleEvents } from '../../src/testing/sample-events.js';
import { rowsUnder } from './tables.js';

const text = readFileSync(new URL('../../docs/events.md', import.meta.url), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'fedstream-docs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const KINDS = EVENT_KINDS.map(({ shape }) => shape.type.value as string);

interface JsonSchema {
  readonly type?: string;
  readonly format?: string;
  readonly enum?: readonly string[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly items?: JsonSchema;
  readonly additionalProperties?: JsonSchema;
}

/** The page's name of a type. */
function nameOf(schema: JsonSchema): string {
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(', ');
  if (schema.const !== undefined) return String(schema.const);
  if (schema.type === 'string') return schema.format === 'date-time' ? 'time' : 'text';
  if (schema.type === 'integer') return schema.minimum === 0 ? 'count' : `count from ${schema.minimum}`;
  if (schema.type === 'array') return `list of ${nameOf(schema.items ?? {})}`;
  if (schema.type === 'object' && schema.additionalProperties) return `map to ${nameOf(schema.additionalProperties)}`;
  return schema.type as string;
}

/** Rows of the table of fields, from the schema. */
function fieldsOf(shape: z.ZodRawShape): string[][] {
  const { properties = {}, required = [] } = z.toJSONSchema(z.object(shape), { io: 'output' });
  return Object.entries(properties).map(([name, schema]) => [
    `\`${name}\`${required.includes(name) ? '' : '?'}`,
    nameOf(schema as JsonSchema),
  ]);
}

test('the stamp of every event', () => {
  const documented = rowsUnder(text, '## Every event').map(([field, type]) => [field, type]);
  expect(documented).toEqual([['`type`', 'text'], ...fieldsOf(stampSchema.shape)]);
});

test('the kinds, in order, and a section of each', () => {
  expect(rowsUnder(text, '## Kinds').map(([kind]) => kind)).toEqual(KINDS.map((kind) => `\`${kind}\``));
  expect([...text.matchAll(/^### (.+)$/gm)].map(([, title]) => title)).toEqual(KINDS);
});

test.each(EVENT_KINDS.map((kind) => [kind.shape.type.value, kind] as const))('the fields of %s', (name, kind) => {
  const { type: _, ...shape } = kind.shape;
  const rows = rowsUnder(text, `### ${name}\n`);
  expect(rows.map(([field, type]) => [field, type])).toEqual(fieldsOf(shape));
  for (const [field, , meaning] of rows) expect(meaning?.length, field).toBeGreaterThan(5);
});

test('the line that the page shows is an event', () => {
  const [, line = ''] = /```json\n(.*)\n```/.exec(text) ?? [];
  expect(parseEventLine(line, 'docs/events.md')).toEqual(JSON.parse(line));
});

test('the sinks of the table', () => {
  const rows = nodeSinks.map(({ name, options }) => [name, Object.keys(options.shape).join('`, `')].map((cell) => `\`${cell}\``));
  expect(rowsUnder(text, '| sink |').map(([name, options]) => [name, options])).toEqual(rows);
});

test('the code runs', async () => {
  const api = fileURLToPath(new URL('../../src/api/index.ts', import.meta.url));
  const [counting, reading] = [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = ''], index) => {
    const path = join(folder, `code-${index}.ts`);
    writeFileSync(path, code.replaceAll("from 'fedstream'", `from ${JSON.stringify(api)}`));
    return path;
  });
  const { byteCounter } = (await import(counting as string)) as { byteCounter(): Sink & { readonly bytes: number } };
  const counter = byteCounter();
  const { events, bestLoss } = (await import(reading as string)) as { events: EventStream; bestLoss(): Promise<number> };
  const best = bestLoss();
  for (const event of sampleEvents()) for (const sink of [counter, events]) sink.emit(event);
  await events.close();
  expect(counter.bytes).toBe(100);
  expect(await best).toBe(2.25);
});

test('readers ignore the fields that they do not know, and no other', () => {
  for (const event of sampleEvents()) {
    const later = { ...event, ofALaterVersion: 1 };
    expect(parseEventLine(JSON.stringify(later), 'x')).toEqual(event);
  }
});
