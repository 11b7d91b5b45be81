// Attacks by figures and reports: numbers that break means, lines that fill disks, texts that a
// terminal obeys. None of them settles the task of the attacker, which other attacks need.
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Attack, Target } from '../attack.js';
import type { Peer } from '../peer.js';

const memory = { rssBytes: 1, peakRssBytes: 1 };

async function taskOf(peer: Peer): Promise<string> {
  const { body } = await peer.request('next');
  return (body as { task: { id: string } }).task.id;
}

const recorded = ({ folder }: Target, file: string): number => statSync(join(folder, file), { throwIfNoEntry: false })?.size ?? 0;

/** Sends reports, some at a time, until the session ends; resolves with the code. */
async function floods(peer: Peer, atOnce: number, report: (i: number) => unknown): Promise<string> {
  let i = 0;
  try {
    for (;;) await Promise.all(Array.from({ length: atOnce }, () => peer.request('progress', report(i++))));
  } catch {
    return (await peer.closed).code;
  }
}

/** Controls, text direction and characters without width, as bytes of UTF-8 or as characters. */
const OBEYED = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

export const figuresAttacks: readonly Attack[] = [
  {
    name: 'budget leftOut, budget stepRate: a flood of steps',
    line: /mallory reports too much: more than 100000 steps/,
    async run(target) {
      const peer = await target.insider();
      const task = await taskOf(peer);
      const steps = (from: number) => Array.from({ length: 256 }, (_, i) => ({ step: from + i, loss: 1, learningRate: 1, tokens: 1 }));
      expect(await floods(peer, 4, (i) => ({ task, steps: steps(1 + 256 * i), memory, alive: true }))).toBe('limit');
      expect(recorded(target, 'metrics.jsonl')).toBeLessThan(3e6);
    },
  },
  {
    name: 'budget reportsWaiting: reports without waiting for an answer',
    line: /mallory reports too much: 32 progress reports wait/,
    async run(target) {
      const peer = await target.insider();
      const task = await taskOf(peer);
      expect(await floods(peer, 200, () => ({ task, steps: [], memory, alive: true }))).toBe('limit');
    },
  },
  {
    name: 'budget memoryLines: figures of memory that jump up and down',
    async run(target) {
      const peer = await target.insider();
      const task = await taskOf(peer);
      const before = recorded(target, 'events.jsonl');
      for (let i = 0; i < 1_000; i++)
        await peer.request('progress', { task, steps: [], memory: { rssBytes: 1e6 * (1 + (i % 7)), peakRssBytes: 1e9 + i } });
      await new Promise((resolve) => setTimeout(resolve, 200));
      expect(recorded(target, 'events.jsonl') - before).toBeLessThan(60_000);
      await peer.close();
    },
  },
  {
    name: 'a bye that writes to the terminal',
    line: /\\u001b\]0;pwned\\u0007\\u009b2J\\u202e/,
    async run(target) {
      const peer = await target.insider();
      await peer.send('bye', 0, { code: 'internal', message: '\u001b]0;pwned\u0007\u009b2J\u202e' });
      await peer.closed;
      await new Promise((resolve) => setTimeout(resolve, 300));
      const log = readFileSync(join(target.folder, 'logs/server.log'), 'utf8');
      expect(log).toContain('pwned');
      expect(log.split('\n').find((line) => OBEYED.test(line))).toBeUndefined();
    },
  },
  {
    name: 'figures that are no figures are refused, and nothing is recorded of them',
    async run(target) {
      const peer = await target.insider();
      const task = await taskOf(peer);
      const before = recorded(target, 'metrics.jsonl');
      for (const wrong of [
        { loss: 1e308 },
        { loss: Number.NaN },
        { step: 2 ** 53 },
        { tokens: -1 },
        { learningRate: Number.NEGATIVE_INFINITY },
      ]) {
        const step = { step: 1, loss: 1, learningRate: 1, tokens: 1, ...wrong };
        expect((await peer.request('progress', { task, steps: [step], memory })).code).toBe('bad-frame');
      }
      const huge = { rssBytes: Number.MAX_SAFE_INTEGER, peakRssBytes: 1 };
      expect((await peer.request('progress', { task, steps: [], memory: huge })).code).toBe('bad-frame');
      expect(recorded(target, 'metrics.jsonl')).toBe(before);
      await peer.close();
    },
  },
];
