// Python with everything that a training program needs. Without it, tests that need it are skipped,
// or fail if FEDSTREAM_REQUIRE_PYTHON is set.
import { spawnSync } from 'node:child_process';
import { canImport, python, root } from './venv.js';

/** For `test.skipIf`. */
export const withoutPython = !canImport('torch', 'transformers', 'peft', 'safetensors', 'grpc_tools', 'fedstream');

/** Runs a script to its end; returns its output, throws with its errors. */
export function runPython(args: readonly string[], cwd = root): string {
  const ran = spawnSync(python, args, { cwd, encoding: 'utf8', env: { ...process.env, OMP_NUM_THREADS: '1' } });
  if (ran.status !== 0) throw new Error(`python ${args.join(' ')} failed:\n${ran.stdout}\n${ran.stderr}`);
  return ran.stdout;
}
