// A relay that is killed (SIGKILL) in the middle of rounds, again and again: the tree goes on, and ends
// with the bits of one that nobody disturbed.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { randomStream } from '../../src/core/random.js';
import { jobFile, modelOf, run, SMALL_JOB, start, workFolder } from '../e2e/command.js';

const folder = workFolder();
/** Coded updates both ways, error feedback, optimizer state: all that a kill could lose; and rounds that outlast the kills. */
const JOB = {
  rounds: 16,
  sites: 4,
  quantize: 'lean',
  idleMs: 120_000,
  train: { ...SMALL_JOB.train, localSteps: 30, optimizerState: 'keep' },
};
const KILLS = 3;

/** The address of a process that has logged that it listens. */
function listening(log: string): string {
  return /"url":"(tcp:[^"]+)"[^\n]*"msg":"listening"/.exec(readFileSync(join(folder, log), 'utf8'))?.[1] as string;
}

test('a relay is killed in the middle of rounds, and the model is that of an undisturbed tree', async () => {
  const job = jobFile(folder, JOB);
  const quiet = await run(['simulate', '--job', job, '--relays', '2', '--name', 'quiet'], folder);
  expect(quiet.code, quiet.stderr).toBe(0);

  const killed = start(['simulate', '--job', job, '--relays', '2', '--name', 'killed'], folder);
  await killed.until('round 2/16');
  const work = 'runs/killed/sites/relay-1';
  const { pid } = JSON.parse(readFileSync(join(folder, work, 'site.lock'), 'utf8')) as { pid: number };
  process.kill(pid, 'SIGKILL');
  await killed.until('warning: relay-1 ended (SIGKILL)');
  // The same relay, by hand: at the same address, since its sites look for it there.
  const again = [
    ...[
      'relay',
      '--connect',
      listening('runs/killed/logs/server.log'),
      '--name',
      'relay-1',
      '--token-file',
      'runs/killed/tokens/relay-1.token',
    ],
    ...['--sites', 'site-1,site-2', '--listen', listening('runs/killed/logs/relay-1.log'), '--tokens', join(work, 'tokens/tokens.json')],
    ...['--work', work],
  ];
  const random = randomStream(5, 'kills');
  let ended: Awaited<ReturnType<typeof run>> | undefined;
  for (let kills = 0; ended?.code !== 0; kills++) {
    const relay = start(again, folder);
    if (kills < KILLS) {
      await relay.until('listening on').catch(() => {});
      setTimeout(() => relay.child.kill('SIGKILL'), random.integer(1_500));
    }
    ended = await relay.ended;
    expect(['SIGKILL', 0], ended.stderr).toContain(ended.code);
  }
  const { code, stderr } = await killed.ended;
  expect(code, stderr).toBe(0);
  expect(stderr).not.toMatch(/goes on without/);
  expect(modelOf(folder, 'killed').equals(modelOf(folder, 'quiet'))).toBe(true);
}, 600_000);
