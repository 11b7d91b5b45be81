// Starts the processes of a simulated federation: each line that one prints is an event, each ends when its parent does.
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';

/** A child that was started; it ends by itself when this process is gone, since its standard input closes. */
export interface Supervised {
  readonly name: string;
  readonly pid: number | undefined;
  /** Resolves with the exit code, or the signal's name. */
  readonly exited: Promise<number | string>;
  /** The end of what it wrote to standard error: its own error line. */
  lastLines(): string;
  /** Asks it to stop and keep its state. */
  stop(): void;
  kill(): void;
}

export interface SuperviseOptions {
  readonly name: string;
  readonly command: readonly string[];
  readonly logFile: string;
  onLine?(line: string): void;
}

const KEPT_LINES = 20;

export function supervise({ name, command, logFile, onLine }: SuperviseOptions): Supervised {
  const [program, ...args] = command as [string, ...string[]];
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const kept: string[] = [];
  mkdirSync(dirname(logFile), { recursive: true });
  const log = createWriteStream(logFile, { flags: 'a' });
  log.on('error', () => {}); // a full disk takes the log, not the run
  if (child.stdout) createInterface({ input: child.stdout }).on('line', (line) => onLine?.(line));
  if (child.stderr) {
    createInterface({ input: child.stderr }).on('line', (line) => {
      log.write(`${line}\n`);
      kept.push(line);
      if (kept.length > KEPT_LINES) kept.shift();
    });
  }
  // The pipe only lives to be closed: errors on it mean that the child is gone, which `exited` tells.
  child.stdin?.on('error', () => {});
  return {
    name,
    pid: child.pid,
    exited: exitOf(child),
    lastLines: () => kept.join('\n'),
    stop: () => void child.kill('SIGTERM'),
    kill: () => void child.kill('SIGKILL'),
  };
}

function exitOf(child: ChildProcess): Promise<number | string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(code ?? signal ?? 1));
  });
}
