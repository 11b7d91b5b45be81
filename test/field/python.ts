// The situations of python.json for the guide; python/tests/test_field.py runs them.
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { FieldTable, Situation } from './situation.js';

const described = {
  name: z.string().min(1),
  from: z.string().min(1),
  input: z.looseObject({ run: z.string() }),
  advice: z.string().min(1),
};
const tableSchema = z.strictObject({
  title: z.string(),
  intro: z.string(),
  rows: z.array(
    z.union([
      z.strictObject({ ...described, gives: z.unknown(), warning: z.string().optional() }),
      z.strictObject({ ...described, refusal: z.string() }),
    ]),
  ),
});

/** The tables of Python, whose rows this suite only counts. */
export const PYTHON_TABLES: readonly Pick<FieldTable<unknown>, 'title' | 'intro' | 'rows'>[] = z
  .strictObject({ tables: z.array(tableSchema) })
  .parse(JSON.parse(readFileSync(new URL('python.json', import.meta.url), 'utf8')))
  .tables.map(({ rows, ...table }) => ({ ...table, rows: rows.map(situation) }));

function situation(row: z.output<typeof tableSchema>['rows'][number]): Situation<unknown> {
  if ('refusal' in row) return { ...row, refusal: new RegExp(row.refusal) };
  const { warning, ...rest } = row;
  return { ...rest, ...(warning !== undefined && { warning: new RegExp(warning) }) };
}
