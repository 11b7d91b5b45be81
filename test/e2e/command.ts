// Runs the built command as a user does: a process, its output, its exit code.
import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import type { Summary } from '../../src/record/summary-schema.js';

const BIN = fileURLToPath(new URL('../../bin/fedstream.mjs', import.meta.url));

export interface Ended {
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves once standard error has the text; rejects if the process ends without it. */
  until(text: string): Promise<void>;
}

/** Starts a command without waiting for its end, for tests that act while it runs. */
export function start(args: readonly string[], cwd: string): Started {
  return watched(spawn(process.execPath, [BIN, ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] }));
}

/** The same with at most so many file descriptors. */
export function startLimited(descriptors: number, args: readonly string[], cwd: string): Started {
  const command = ['-c', `ulimit -n ${descriptors}; exec "$0" "$@"`, process.execPath, BIN, ...args];
  return watched(spawn('bash', command, { cwd, stdio: ['ignore', 'pipe', 'pipe'] }));
}

function watched(child: ChildProcessByStdio<null, Readable, Readable>): Started {
  let stdout = '';
  let stderr = '';
  let changed: () => void = () => {};
  child.stdout.on('data', (bytes) => {
    stdout += bytes;
  });
  child.stderr.on('data', (bytes) => {
    stderr += bytes;
    changed();
  });
  const ended = new Promise<Ended>((resolve) => {
    child.on('close', (code, signal) => resolve({ code: code ?? signal ?? 'unknown', stdout, stderr }));
  });
  const until = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      changed = () => {
        if (stderr.includes(text)) resolve();
      };
      changed();
      void ended.then(({ stderr: all }) => reject(new Error(`it ended without "${text}":\n${all}`)));
    });
  return { child, ended, until };
}

export function run(args: readonly string[], cwd: string): Promise<Ended> {
  return start(args, cwd).ended;
}

/** The sites of a server that was started by hand. */
export interface SitesByHand {
  readonly sites?: readonly string[];
  /** The run's folder whose data the sites have. */
  readonly dataOf: string;
  /** A site's work folder. */
  work(site: string): string;
  /** Further arguments of a site: its certificate or its token. */
  proof(site: string): readonly string[];
}

/** Runs a site each until the job is done; sites and server must end well. */
export async function finishByHand(server: Started, url: string, folder: string, options: SitesByHand): Promise<void> {
  const { sites = ['site-1', 'site-2'], dataOf, work, proof } = options;
  const ended = sites.map((site) => {
    const data = `runs/${dataOf}/data/${site}.jsonl`;
    const args = ['client', '--connect', url, '--site', site, '--data', data, '--threads', '1', '--work', work(site)];
    return run([...args, ...proof(site)], folder);
  });
  for (const { code, stderr } of await Promise.all(ended)) expect(code, stderr).toBe(0);
  const { code, stderr } = await server.ended;
  expect(code, stderr).toBe(0);
}

/** A folder of its own for one test. */
export function workFolder(): string {
  return mkdtempSync(join(tmpdir(), 'fedstream-e2e-'));
}

/** A job that takes seconds: a model of a few thousand parameters, two sites, two rounds. */
export const SMALL_JOB = {
  rounds: 2,
  sites: 2,
  idleMs: 3_000,
  model: { hiddenSize: 32, layers: 1, heads: 2, kvHeads: 1, ffnSize: 48, vocabularySize: 300 },
  data: { generated: 300 },
  validationSamples: 30,
  train: { localSteps: 4, batchSize: 8, maxTokens: 48, learningRate: 0.01, warmupSteps: 2 },
};

/** Writes a job file; `fields` replace those of the small job. */
export function jobFile(folder: string, fields: Record<string, unknown> = {}, name = 'job.json'): string {
  const path = join(folder, name);
  writeFileSync(path, JSON.stringify({ ...SMALL_JOB, ...fields }));
  return path;
}

/** The options of a site's token that the server has made in its run folder. */
export function tokenOf(name: string, site: string): string[] {
  return ['--token-file', join('runs', name, 'tokens', `${site}.token`)];
}

export function summaryOf(folder: string, name: string): Summary {
  return JSON.parse(readFileSync(join(folder, 'runs', name, 'summary.json'), 'utf8')) as Summary;
}

export function modelOf(folder: string, name: string): Buffer {
  return readFileSync(join(folder, 'runs', name, 'model', 'model.safetensors'));
}

/** The losses of all steps in metrics.jsonl. */
export function lossesOf(folder: string, name: string): number[] {
  const lines = readFileSync(join(folder, 'runs', name, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n');
  return lines.map((line) => (JSON.parse(line) as { loss: number }).loss);
}
