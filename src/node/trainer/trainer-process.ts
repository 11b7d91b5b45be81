// Starts a site's training program, logs its output, and ends it with all that it started.
import { spawn } from 'node:child_process';
import type { Logger } from '../../core/log.js';
import { within } from '../../core/within.js';
import { BRIDGE_VARIABLE } from '../../trainer/bridge/messages.js';
import type { TrainerProgram } from '../../trainer/bridge/program.js';
import { readOutput } from '../process/output-lines.js';
import { killMarked, signalGroup } from '../process/process-group.js';
import { openBridgeSocket } from './bridge-socket.js';

/** The command of a program, its working folder (absolute), and its environment. */
export interface TrainerProcessOptions {
  readonly command: readonly [string, ...string[]];
  readonly folder: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly log: Logger;
}

/** The time between SIGTERM and SIGKILL. */
const KILL_AFTER_MS = 5_000;

/**
 * Starts the program. It connects back to the socket in its environment; `ended` resolves with how
 * it ended.
 */
export async function startTrainerProcess({ command, folder, environment, log }: TrainerProcessOptions): Promise<TrainerProgram> {
  const socket = await openBridgeSocket();
  const [program, ...args] = command;
  // The program gets a process group of its own: a signal to the group reaches all that the program
  // started, and Ctrl-C on our terminal does not end it before it was told.
  const child = spawn(program, args, {
    cwd: folder,
    env: { ...process.env, ...environment, [BRIDGE_VARIABLE]: socket.address, PYTHONUNBUFFERED: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const listeners: (() => void)[] = [];
  const output = readOutput(
    [child.stdout, child.stderr],
    (line) => log.info({ trainer: true }, line),
    () => {
      for (const listener of listeners) listener();
    },
  );
  const kill = (): void => {
    if (child.pid === undefined) return;
    signalGroup(child.pid, 'SIGKILL');
    killMarked(BRIDGE_VARIABLE, socket.address);
  };
  // However this process ends, the program ends with it.
  process.once('exit', kill);
  let over = false;
  const exited = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`could not be started (${program} in ${folder}): ${error.message}`));
    child.once('exit', (code, signal) => resolve(signal ? `was ended by ${signal}` : `ended with exit code ${code}`));
  });
  // Its output ends after it exits, unless another process still holds the pipe.
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const ended = exited.then(async (how) => {
    await within(closed, KILL_AFTER_MS / 10);
    return how;
  });
  const end = async (): Promise<void> => {
    if (over) return;
    over = true;
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      signalGroup(child.pid, 'SIGTERM');
      await within(exited, KILL_AFTER_MS);
    }
    kill();
    await ended;
    process.removeListener('exit', kill);
    socket.close();
  };
  return { connected: socket.connected, ended, onOutput: (listener) => void listeners.push(listener), lastLines: () => output.last(), end };
}
