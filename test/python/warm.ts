// One Python that has imported torch and its libraries; scripts are forked from it, each in a
// process of its own, so that a test does not wait for the imports once for each script.
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { runPython } from './python.js';
import { python, root } from './venv.js';

export interface WarmPython {
  /** The command of a script: arguments follow. */
  command(script: string): readonly string[];
  /** Runs a script to its end; returns its output, throws with its errors. */
  run(args: readonly string[], cwd?: string): string;
  close(): void;
}

/** Starts it; `folder` is for its socket. */
export async function warmPython(folder: string): Promise<WarmPython> {
  const socket = join(folder, 'warm');
  const server: ChildProcess = spawn(python, [join(root, 'test/python/warm.py'), socket], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, OMP_NUM_THREADS: '1' },
  });
  await new Promise<void>((resolve, reject) => {
    server.stdout?.once('data', () => resolve());
    server.once('exit', (code) => reject(new Error(`warm.py ended with ${code}`)));
  });
  const start = ['-I', join(root, 'test/python/warm_run.py'), socket];
  return {
    command: (script) => [python, ...start, script],
    run: (args, cwd) => runPython([...start, ...args], cwd),
    close: () => void server.kill(),
  };
}
