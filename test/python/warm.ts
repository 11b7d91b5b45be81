// One Python that has imported torch and its libraries; scripts are forked from it, each in a
// process of its own, so that a test does not wait for the imports once for each script.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { python, root } from './python.js';

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
  const command = (script: string) => [python, '-I', join(root, 'test/python/warm_run.py'), socket, script];
  return {
    command,
    run(args, cwd = root) {
      const [script = '', ...more] = args;
      const [program = '', ...rest] = command(script);
      const ran = spawnSync(program, [...rest, ...more], { cwd, encoding: 'utf8', env: { ...process.env, OMP_NUM_THREADS: '1' } });
      if (ran.status !== 0) throw new Error(`python ${args.join(' ')} failed:\n${ran.stdout}\n${ran.stderr}`);
      return ran.stdout;
    },
    close: () => void server.kill(),
  };
}
