// A fault that nobody handles ends no server, unless it goes on and on.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const BUILT = fileURLToPath(new URL('../../../dist/node/process/catch-faults.js', import.meta.url));

/** Runs a script with the net under it; returns what it logged and how it ended. */
function caught(script: string): { lines: string[]; status: number | null } {
  const source = `
    import { catchFaults } from ${JSON.stringify(BUILT)};
    const log = { error: (_, message) => console.log(message) };
    const stop = catchFaults(log, ({ message }) => console.log('event', message));
    ${script}`;
  const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '-e', source], { encoding: 'utf8' });
  return { lines: stdout.trim().split('\n'), status };
}

test('a timer, an event and a promise that fail are logged and counted, and the process goes on', () => {
  const { lines, status } = caught(`
    setTimeout(() => { throw new Error('in a timer'); }, 1);
    setTimeout(() => { process.emit('mine'); }, 2);
    process.on('mine', () => { throw new Error('in an event'); });
    void Promise.reject(new Error('in a promise'));
    setTimeout(() => console.log('still here'), 100);`);
  expect(status).toBe(0);
  for (const where of ['a timer', 'an event', 'a promise'])
    for (const front of ['', 'event '])
      expect(lines).toContain(`${front}a fault of the server that ends nothing; please report it: in ${where}`);
  expect(lines.at(-1)).toBe('still here');
});

test('one that goes on ends the process in the end, and so does one after the net is gone', () => {
  const { lines, status } = caught(`setInterval(() => { throw new Error('again'); }, 1);`);
  expect(status).not.toBe(0);
  expect(lines.filter((line) => line.startsWith('event ')).length).toBe(10);
  expect(caught(`stop(); setTimeout(() => { throw new Error('after'); }, 1);`).status).not.toBe(0);
});
