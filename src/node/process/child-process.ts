// Starts the processes of a simulated federation and reads the events that they print.
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { makePrivateFolder, PRIVATE_FILE } from '../storage/private-modes.js';

/**
 * A child process. It ends by itself when this process is gone, since its standard input closes.
 */
export interface Supervised {
  readonly name: string;
  readonly pid: number | undefined;
  /** Resolves with the exit code, or the signal's name. */
  readonly exited: Promise<number | string>;
  /** The last lines that it wrote to standard error, which include its own error. */
  lastLines(): string;
  /** Asks it to stop and keep its state. */
  stop(): void;
  kill(): void;
}

/** The command of a child, its log, and a callback for each line of its standard output. */
export interface SuperviseOptions {
  readonly name: string;
  readonly command: readonly string[];
  readonly logFile: string;
  onLine?(line: string): void;
}

const KEPT_LINES = 20;

/** Starts a child; its standard error goes to the log file. */
export function supervise({ name, command, logFile, onLine }: SuperviseOptions): Supervised {
  const [program, ...args] = command as [string, ...string[]];
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const kept: string[] = [];
  makePrivateFolder(dirname(logFile));
  const log = createWriteStream(logFile, { flags: 'a', mode: PRIVATE_FILE });
  log.on('error', () => {}); // on a full disk the log is lost, not the run
  if (child.stdout) createInterface({ input: child.stdout }).on('line', (line) => onLine?.(line));
  if (child.stderr) {
    createInterface({ input: child.stderr }).on('line', (line) => {
      log.write(`${line}\n`);
      kept.push(line);
      if (kept.length > KEPT_LINES) kept.shift();
    });
  }
  // The pipe exists only to be closed: an error on it means that the child is gone, which `exited`
  // reports.
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
