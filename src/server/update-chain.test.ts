// The updates that are worth their disk space.
import { expect, test } from 'vitest';
import { type Chain, spoolsOf, withinBudget } from './update-chain.js';

const digest = (n: number): string => String(n).padStart(32, '0');

function chain(count: number, bytes: number, start?: Chain['start']): Chain {
  const updates = Array.from({ length: count }, (_, i) => ({
    version: i + 2,
    object: `update-${i + 2}`,
    bytes,
    from: digest(i + 1),
    to: digest(i + 2),
    digest: digest(0),
  }));
  return { held: { version: count + 1, digest: digest(count + 1), file: 'held.safetensors' }, whole: 'whole', updates, start };
}

test('updates are kept as long as they are fewer bytes than the model', () => {
  const kept = withinBudget(chain(5, 10), 51, 256);
  expect(kept.updates).toHaveLength(5);
  const over = withinBudget(chain(5, 10), 50, 256);
  expect(over.updates.map(({ version }) => version)).toEqual([3, 4, 5, 6]);
  expect([...spoolsOf(over)]).toEqual(['update-3.spool', 'update-4.spool', 'update-5.spool', 'update-6.spool']);
  expect(withinBudget(chain(5, 1), 1000, 3).updates).toHaveLength(3);
});

test('a coded start goes first; one that sites may have themselves stays named', () => {
  const coded = { digest: digest(1), base: false, object: 'start', bytes: 20, spool: digest(7) };
  const over = withinBudget(chain(3, 10, coded), 50, 256);
  expect([...spoolsOf(over)]).not.toContain('start.spool');
  expect(over.updates).toHaveLength(3);
  expect(over.start).toEqual({ digest: digest(1), base: false });
  const base = { digest: digest(1), base: true };
  expect(withinBudget(chain(3, 10, base), 50, 256).start).toEqual(base);
  // Without its first update, the start no longer leads anywhere.
  expect(withinBudget(chain(6, 10, base), 50, 256).start).toBeUndefined();
});

test('what sites at work on an earlier broadcast may still fetch stays, and what follows it', () => {
  const kept = withinBudget(chain(6, 10), 30, 256, new Set(['update-4', 'update-5']));
  expect(kept.updates.map(({ version }) => version)).toEqual([4, 5, 6, 7]);
  const coded = { digest: digest(1), base: false, object: 'start', bytes: 20, spool: digest(7) };
  const begun = withinBudget(chain(6, 10, coded), 30, 256, new Set(['start']));
  expect(begun.start).toEqual(coded);
  expect(begun.updates).toHaveLength(6);
});
