// Choices from a table: by name, with options, and choices that are refused.
import { expect, test } from 'vitest';
import { z } from 'zod';
import { choiceSchema, chosen, row } from './row.js';

const table = [
  row(
    'scale',
    z.strictObject({ by: z.number().positive().default(2) }),
    ({ by }) =>
      (value: number) =>
        value * by,
  ),
  row('negate', z.strictObject({}), () => (value: number) => -value),
];
const schema = choiceSchema(table, 'operation');

test('a name alone takes the defaults; what comes out goes in again', () => {
  expect(schema.parse('scale')).toEqual({ type: 'scale', by: 2 });
  expect(schema.parse(schema.parse({ type: 'scale', by: 3 }))).toEqual({ type: 'scale', by: 3 });
  expect(chosen(table, schema.parse({ type: 'scale', by: 3 }))(5)).toBe(15);
  expect(chosen(table, schema.parse('negate'))(5)).toBe(-5);
});

test.each([
  ['halve', 'there is no operation "halve"; the operations are scale, negate'],
  [{ by: 3 }, 'must be a name, or {"type": name, …}; the operations are scale, negate'],
  [{ type: 'scale', times: 3 }, 'times: unknown option of scale; it has by'],
  [{ type: 'negate', by: 3 }, 'by: unknown option of negate; it has none'],
  [null, 'must be a name, or {"type": name, …}; the operations are scale, negate'],
])('%j is refused in one line', (value, message) => {
  const { error } = schema.safeParse(value as never);
  expect(error?.issues.map((issue) => issue.message)).toEqual([message]);
});

test('a wrong option is told at its place', () => {
  const { error } = schema.safeParse({ type: 'scale', by: -1 });
  expect(error?.issues[0]?.path).toEqual(['by']);
});

test('an option that may be one of several things is told by its own message', () => {
  const even = z.number().refine((value) => value % 2 === 0, 'must be even');
  const pick = row('pick', z.strictObject({ of: z.union([z.string(), z.strictObject({ count: even })]) }), ({ of }) => of);
  const { error } = choiceSchema([pick], 'operation').safeParse({ type: 'pick', of: { count: 3 } });
  expect(error?.issues).toMatchObject([{ path: ['of', 'count'], message: 'must be even' }]);
});
