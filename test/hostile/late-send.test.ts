// Sends that end when their round is over: honest slow sites do it, and mallory on purpose.
import { expect, test } from 'vitest';
import { failOn, runWith } from './insider.js';

test('a done for a broadcast whose round is over ends nothing, and its bytes count for the round in which it began', async () => {
  const { result, summary } = await runWith({ rounds: 3 }, async (peer) => {
    const next = await peer.next();
    if ('stop' in next) throw new Error('it stopped');
    const { task } = next;
    const stream = await peer.retrieve(task.model?.start?.object ?? (task.model?.whole.object as string));
    for await (const _ of stream.read());
    await peer.ask('fail', { task: task.id, code: 'internal', message: 'no more' });
    const later = await peer.next();
    expect('task' in later && later.task.round).toBe(2);
    await stream.confirm();
    await failOn(peer);
  });
  expect(result.reason).toBe('all rounds are done');
  expect(summary.rounds[0]?.sites.mallory?.bytesDown).toBeGreaterThan(1000);
  expect(summary.rounds[0]?.sites.mallory?.fp32BytesDown).toBe(4 * (64 * 48 + 1500));
});
