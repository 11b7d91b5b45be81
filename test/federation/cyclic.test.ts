// The cyclic workflow: the order of the sites, the model that each trains, and sites that are left
// out.
import { expect, test } from 'vitest';
import { federate, someValues, type Values } from './scripted.js';

const KINDS = ['fp32', 'u4'];

/** A site that adds its amount, and notes each request. */
const adds = (name: string, amount: number, asked: string[]) => ({
  learn: (given: Values, round: number): Values => {
    asked.push(`${name}${round}`);
    return Object.fromEntries(Object.entries(given).map(([tensor, data]) => [tensor, data.map((value) => value + amount)]));
  },
});

test.each(KINDS)('%s: each site trains the model of the one before', async (quantize) => {
  const asked: string[] = [];
  const sites = { a: adds('a', 0.5, asked), b: adds('b', 0.25, asked), c: adds('c', 1, asked) };
  const { master, result } = await federate({ workflow: 'cyclic', quantize, rounds: 4 }, sites);
  expect(asked).toEqual(['a1', 'b2', 'c3', 'a4']);
  expect(result.lastRound).toBe(4);
  const start = someValues(1);
  const { w } = await master(4);
  const off = (w as Float32Array).map((value, i) => Math.abs(value - ((start.w?.[i] as number) + 2.25)));
  expect(Math.max(...off)).toBeLessThan(quantize === 'fp32' ? 1e-6 : 0.2);
});

test('a site that fails is left out, and the next one takes its turn', async () => {
  const asked: string[] = [];
  const fails = {
    learn: (): Values => {
      throw new Error('out of memory');
    },
  };
  const sites = { a: adds('a', 0.5, asked), b: fails, c: adds('c', 1, asked) };
  const { events } = await federate({ workflow: 'cyclic', quantize: 'fp32', rounds: 2 }, sites);
  expect(asked).toEqual(['a1', 'c2']);
  expect(events.filter(({ type }) => type === 'warning')).toMatchObject([{ message: 'round 2 goes on without b: out of memory' }]);
});

test('a random order depends on the seed, and every site has one turn in each cycle', async () => {
  const orders: string[][] = [];
  for (const seed of [1, 1, 2]) {
    const asked: string[] = [];
    const sites = Object.fromEntries(['a', 'b', 'c', 'd'].map((name) => [name, adds(name, 0.5, asked)]));
    await federate({ workflow: { type: 'cyclic', order: 'random' }, quantize: 'fp32', rounds: 8, seed }, sites);
    orders.push(asked.map((one) => one[0] as string));
  }
  expect(orders[0]).toEqual(orders[1]);
  expect(orders[0]).not.toEqual(orders[2]);
  for (const order of orders) for (const from of [0, 4]) expect([...order.slice(from, from + 4)].sort()).toEqual(['a', 'b', 'c', 'd']);
});
