// The order of filters: deltas are added where they are needed, and filters in impossible places
// are refused.
import { expect, test } from 'vitest';
import { z } from 'zod';
import { referenceCodecs } from '../codec/codec-table.js';
import { row } from '../core/row.js';
import { builtInFilters } from './built-in.js';
import { type FilterSettings, filterSpecsSchema, ownFilters } from './chain.js';
import { quantizeSchema } from './coding.js';
import type { Filter, FilterPoint } from './filter.js';
import { converted, misplacedFilter, resultInFilters, sentSubject } from './order.js';
import { siteFilters, siteFiltersSchema } from './site-filters.js';

const filter = (on: Filter['on']): Filter => ({ on, apply: (model) => model });
const table = [
  ...builtInFilters,
  row('noise', z.strictObject({ by: z.number().default(1) }), () => filter('update')),
  row('clamp', z.strictObject({}), () => filter('model')),
];

function settings(quantize: string, filters: Partial<Record<FilterPoint, unknown>>, more: Partial<FilterSettings> = {}): FilterSettings {
  return { quantize: quantizeSchema(referenceCodecs).parse(quantize), filters: filterSpecsSchema(table).parse(filters as never), ...more };
}

const label = (one: Filter): string => one.makes ?? `on ${one.on}`;
const labels = (filters: readonly Filter[]): string[] => filters.map(label);

test('a job chooses from the table that is there; what comes out goes in again', () => {
  const parsed = filterSpecsSchema(table).parse({ 'result-out': ['noise', { type: 'exclude', patterns: ['*norm*'] }] });
  expect(parsed).toEqual({
    'result-out': [
      { type: 'noise', by: 1 },
      { type: 'exclude', patterns: ['*norm*'] },
    ],
  });
  expect(filterSpecsSchema(table).parse(parsed)).toEqual(parsed);
  expect(labels(ownFilters({ quantize: quantizeSchema(referenceCodecs).parse('u4'), filters: parsed }, 'result-out', table))).toEqual([
    'on update',
    'on either',
  ]);
});

test.each([
  [
    { 'result-out': ['noise'] },
    'result-out.0',
    /^there is no filter "noise"; the filters are exclude, include, delta, undelta, quantize, dequantize/,
  ],
  [{ 'result-out': [{ type: 'exclude' }] }, 'result-out.0.patterns', 'Invalid input: expected array, received undefined'],
  [{ 'result-in': [{ type: 'delta', by: 1 }] }, 'result-in.0', 'by: unknown option of delta; it has none'],
  [{ 'task-out': [{ type: 'quantize', codec: 'u9' }] }, 'task-out.0.codec', /there is no codec "u9"/],
])('%j is refused in one line', (filters, path, message) => {
  const { error } = filterSpecsSchema(builtInFilters).safeParse(filters as never);
  expect(error?.issues.map((issue) => issue.path.join('.'))).toEqual([path]);
  expect(error?.issues[0]?.message).toEqual(typeof message === 'string' ? message : expect.stringMatching(message));
});

test('a delta stands before the first filter on the update, an undelta before one on the model', () => {
  const [model, update, either] = [filter('model'), filter('update'), filter('either')];
  expect(labels(converted([], 'model', 'update'))).toEqual(['update']);
  expect(labels(converted([either], 'model', 'model'))).toEqual(['on either']);
  expect(labels(converted([model, either, update, either], 'model', 'update'))).toEqual([
    'on model',
    'on either',
    'update',
    'on update',
    'on either',
  ]);
  expect(labels(converted([update, either, model], 'update', 'model'))).toEqual(['on update', 'on either', 'model', 'on model']);
  expect(labels(converted([update, model], 'model', 'model'))).toEqual(['update', 'on update', 'model', 'on model']);
  // A delta of the job's own takes the place of the automatic one.
  const own = ownFilters(settings('fp32', { 'result-out': ['delta', 'noise', 'undelta'] }), 'result-out', table);
  expect(converted(own, 'model', 'model')).toEqual(own);
});

test('what travels: updates where the coding loses anything, or where the last of the job’s own deltas makes one', () => {
  const sent = (quantize: string, out: unknown[], more = {}) =>
    sentSubject(settings(quantize, { 'result-out': out }, more), referenceCodecs, table);
  expect(sent('u4', [])).toBe('update');
  expect(sent('u4', ['noise'])).toBe('update');
  expect(sent('fp32', [])).toBe('model');
  expect(sent('fp32', ['noise'])).toBe('model');
  expect(sent('fp32', [], { delta: true })).toBe('update');
  expect(sent('fp32', ['delta', { type: 'quantize', codec: 'u4' }])).toBe('update');
  expect(sent('fp32', ['delta', 'noise', 'undelta'])).toBe('model');
  expect(sent('paper', ['noise'])).toBe('model');
});

test('the server’s filters see the update before it is added to anything', () => {
  const chain = (quantize: string, filters: Partial<Record<FilterPoint, unknown>>) => {
    const { filters: found, makes } = resultInFilters(settings(quantize, filters), referenceCodecs, table);
    return [...labels(found), `→ ${makes}`];
  };
  expect(chain('u4', {})).toEqual(['→ update']);
  expect(chain('fp32', {})).toEqual(['→ model']);
  expect(chain('u4', { 'result-in': ['noise', { type: 'exclude', patterns: ['x'] }] })).toEqual(['on update', 'on either', '→ update']);
  expect(chain('u4', { 'result-in': ['noise', 'clamp'] })).toEqual(['on update', 'model', 'on model', '→ model']);
  expect(chain('u4', { 'result-in': ['undelta'] })).toEqual(['model', '→ model']);
  expect(chain('fp32', { 'result-in': ['noise'] })).toEqual(['update', 'on update', 'model', '→ model']);
  expect(chain('fp32', { 'result-out': ['delta'], 'result-in': ['noise', 'undelta'] })).toEqual(['on update', 'model', '→ model']);
  expect(chain('fp32', { 'result-out': ['delta'] })).toEqual(['→ update']);
});

test.each([
  [
    'u4',
    { 'task-out': ['noise'] },
    'filters.task-out.0: noise: it works on an update, and tasks bring whole weights; put it at result-out or result-in',
  ],
  ['u4', { 'task-in': ['delta', 'noise'] }, /^filters\.task-in\.1: noise: /],
  ['u4', { 'result-out': ['noise', 'delta'] }, 'filters.result-out.1: delta: there is an update here already; leave it out'],
  ['fp32', { 'result-out': ['undelta'] }, 'filters.result-out.0: undelta: there are whole weights here already; leave it out'],
  ['fp32', { 'result-in': ['undelta'] }, 'filters.result-in.0: undelta: there are whole weights here already; leave it out'],
  ['u4', { 'result-in': ['delta'] }, 'filters.result-in.0: delta: there is an update here already; leave it out'],
] as const)('%s, %j: the filter that cannot be there is named', (quantize, filters, message) => {
  expect(misplacedFilter(settings(quantize, filters), referenceCodecs, table)).toEqual(
    typeof message === 'string' ? message : expect.stringMatching(message),
  );
});

test.each([
  ['u4', {}],
  ['u4', { 'task-out': ['delta', 'clamp'], 'task-in': ['undelta', 'dequantize'] }],
  ['fp32', { 'result-out': ['delta', { type: 'quantize', codec: 'u4' }], 'result-in': ['dequantize', 'undelta'] }],
  ['u4', { 'result-out': ['delta'], 'result-in': ['undelta'] }],
  ['u4', { 'result-out': ['clamp', 'noise'], 'result-in': ['noise', 'clamp'] }],
  ['fp32', { 'result-out': ['clamp', 'noise'], 'result-in': ['noise', 'clamp'] }],
] as const)('%s, %j is as it may be', (quantize, filters) => {
  expect(misplacedFilter(settings(quantize, filters), referenceCodecs, table)).toBeUndefined();
});

test('a site’s own filters are on updates, or on either', () => {
  const choices = siteFiltersSchema(table).parse(['noise', { type: 'exclude', patterns: ['x'] }]);
  expect(labels(siteFilters(choices, table))).toEqual(['on update', 'on either']);
  const message = (given: unknown) =>
    siteFiltersSchema(table)
      .safeParse(given)
      .error?.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  expect(message(['noise', 'delta'])).toEqual([
    "1: delta: a site's own filters work on the update that leaves it; this one makes something else of it",
  ]);
  expect(message(['undelta'])).toEqual([
    "0: undelta: a site's own filters work on the update that leaves it; this one makes something else of it",
  ]);
  expect(message(['clamp'])).toEqual(["0: clamp: a site's own filters work on the update that leaves it; this one works on whole weights"]);
  expect(message(['nois'])).toEqual([expect.stringMatching(/^0: there is no filter "nois"; the filters are exclude, /)]);
  expect(() => siteFilters([{ type: 'noise', by: 'x' }], table)).toThrow(
    expect.objectContaining({ code: 'bad-argument', message: expect.stringMatching(/^the filters of the site: filters\.0\.by: /) }),
  );
});
