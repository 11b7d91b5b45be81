// Runs a command as a process group of its own, and watches the memory of its processes meanwhile.
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Peaks are the system's own; a sample only has to come before a process ends. Each costs a look at all processes. */
const SAMPLE_MS = 500;
/** Other work on the machine must not die of a benchmark: the command is ended where less is left. */
const LEAST_FREE_MIB = 1500;
const LAST_CHARACTERS = 2000;
const running = new Set();

/**
 * Resolves with what the command printed, how long it took and, where it is `watched`, the peak
 * memory of its processes: `{stdout, stderr, seconds, processes: [{pid, command, peakMiB}]}`. Throws
 * where it fails, runs longer than `limitS`, or leaves too little memory free.
 */
export async function command([program, ...args], { env = process.env, cwd, limitS = 900, watched = false } = {}) {
  const startedMs = performance.now();
  const child = spawn(program, args, { env, cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  const texts = { stdout: '', stderr: '' };
  for (const name of Object.keys(texts))
    child[name].setEncoding('utf8').on('data', (text) => {
      texts[name] += text;
    });
  const seen = new Map();
  let reason = '';
  const watch = setInterval(() => {
    if (watched) sample(child.pid, seen);
    const free = freeMiB();
    if (performance.now() - startedMs > limitS * 1000) reason = `it took longer than ${limitS} s`;
    else if (free < LEAST_FREE_MIB) reason = `only ${free} MiB of the machine's memory were left`;
    if (reason) end(child);
  }, SAMPLE_MS);
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => resolve(status ?? signal));
  }).finally(() => {
    clearInterval(watch);
    running.delete(child);
  });
  const words = [program, ...args].join(' ');
  if (code !== 0 || reason)
    throw new Error(`${words} failed (${code}): ${reason || (texts.stderr + texts.stdout).trim().slice(-LAST_CHARACTERS)}`);
  const seconds = (performance.now() - startedMs) / 1000;
  return { ...texts, seconds, processes: [...seen.values()] };
}

/** Starts a process that runs until `end` is called; it gives the process, and what it printed so far. */
export function background([program, ...args], { env = process.env, cwd } = {}) {
  const child = spawn(program, args, { env, cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (piece) => {
      text += piece;
    });
  const closed = new Promise((resolve) => child.once('close', resolve).once('error', resolve));
  const stop = async () => {
    end(child);
    await closed;
    running.delete(child);
  };
  return { pid: child.pid, text: () => text, stop };
}

/** Ends every process that is left: nothing may outlive the benchmark. */
function endAll() {
  for (const child of running) end(child);
}

/** A new folder in `dir`, which goes with the program, as the commands do that still run. */
export function workFolder(dir, prefix) {
  const work = mkdtempSync(join(dir, prefix));
  process.once('exit', () => {
    endAll();
    rmSync(work, { recursive: true, force: true });
  });
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130));
  return work;
}

/** Watches the memory of process trees until the function that it returns is called, which gives their processes. */
export function watchMemory(pids) {
  const seen = new Map();
  const timer = setInterval(() => {
    for (const pid of pids) sample(pid, seen);
  }, SAMPLE_MS);
  return () => {
    clearInterval(timer);
    return [...seen.values()];
  };
}

function end(child) {
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

function sample(root, seen) {
  for (const pid of treeOf(root)) {
    const found = statusOf(pid);
    if (found) seen.set(pid, { pid, command: found.command || (seen.get(pid)?.command ?? ''), peakMiB: found.peakMiB });
  }
}

function treeOf(root) {
  const children = new Map();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const parent = Number(read(`/proc/${name}/stat`)?.split(') ').at(-1)?.split(' ')[1]);
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const found = [root];
  for (const pid of found) found.push(...(children.get(pid) ?? []));
  return found;
}

function statusOf(pid) {
  const status = read(`/proc/${pid}/status`);
  const [, kib] = /^VmHWM:\s*(\d+) kB$/m.exec(status ?? '') ?? [];
  if (kib === undefined) return undefined;
  const words = (read(`/proc/${pid}/cmdline`) ?? '').replaceAll('\0', ' ').trim();
  return { command: words, peakMiB: Math.round(Number(kib) / 1024) };
}

function freeMiB() {
  return Number(/^MemAvailable:\s*(\d+) kB$/m.exec(read('/proc/meminfo') ?? '')?.[1] ?? Number.POSITIVE_INFINITY) / 1024;
}

function read(path) {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}
