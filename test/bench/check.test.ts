// What transfers and rounds do to files, sockets and memory stays within the budgets of
// bench/check/budgets.json. Counts alone are compared, never times.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { IS_FULL } from '../breadth.js';

type Counts = Readonly<Record<string, Readonly<Record<string, number>>>>;
interface Case {
  readonly name: string;
}

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const load = (name: string): Promise<unknown> => import(at(`../../bench/check/${name}`));
const { CASES, countCase } = (await load('cases.mjs')) as { CASES: readonly Case[]; countCase(one: Case, preload?: string): Counts };
const { faultsOf } = (await load('compare.mjs')) as { faultsOf(name: string, counts: Counts, budgets?: Counts): string[] };
const budgets = JSON.parse(readFileSync(at('../../bench/check/budgets.json'), 'utf8')) as Record<string, Counts>;
/** The default coding, and the mode that writes most; CI counts every case. */
const OFTEN = ['transfer, file, u4', 'two rounds, as by default'];

test('every case has a budget, and every budget a case', () => {
  expect(Object.keys(budgets)).toEqual(CASES.map(({ name }) => name));
});

describe('counts are within their budgets', () => {
  for (const one of CASES.filter(({ name }) => IS_FULL || OFTEN.includes(name)))
    test(one.name, () => expect(faultsOf(one.name, countCase(one), budgets[one.name])).toEqual([]), 180_000);
});

test('a second pass of the sender over the model is found', () => {
  const one = CASES.find(({ name }) => name === 'transfer, file, fp32') as Case;
  const faults = faultsOf(one.name, countCase(one, at('second-pass.mjs')), budgets[one.name]);
  expect(faults).toContainEqual(expect.stringMatching(/^transfer, file, fp32: sender: readBytes is .*, 2\.00 × its budget/));
  expect(faults.filter((fault) => fault.includes('receiver'))).toEqual([]);
}, 180_000);

describe('a comparison', () => {
  const budget = { sender: { readBytes: 40_000_000, syncs: 4, copiedBytes: 40_000_000 } };
  const faults = (sender: Record<string, number>) => faultsOf('a case', { sender }, budget);

  test('lets pass what differs from run to run', () => {
    expect(faults({ readBytes: 40_050_000, syncs: 4, copiedBytes: 42_000_000 })).toEqual([]);
  });

  test('finds one sync more, and a copy more', () => {
    expect(faults({ syncs: 5 })).toEqual(['a case: sender: syncs is 5, 1.25 × its budget of 4']);
    expect(faults({ copiedBytes: 60_000_000 })).toEqual(['a case: sender: copiedBytes is 60,000,000, 1.50 × its budget of 40,000,000']);
  });

  test('lets pass that what travels is copied once more, and no other copy', () => {
    const receiver = { receivedBytes: 4_000_000, sentBytes: 1_000_000, copiedBytes: 40_000_000 };
    const copies = (copiedBytes: number) => faultsOf('a case', { receiver: { copiedBytes } }, { receiver });
    expect(copies(47_000_000)).toEqual([]);
    expect(copies(49_000_000)).toHaveLength(1);
  });

  test('asks for a new budget where less than half of it is used, or where there is none', () => {
    expect(faults({ readBytes: 19_000_000 })).toEqual([expect.stringContaining('renew the budget')]);
    expect(faults({ renames: 1 })).toEqual([expect.stringContaining('no budget')]);
    expect(faultsOf('another', { sender: {} })).toEqual(['another: it has no budget; count it with --renew']);
  });
});
