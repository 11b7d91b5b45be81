// `fedstream bench transfer`: moves a model from one process to another, and times `cp` in the same
// run.
import { spawn } from 'node:child_process';
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseCodecName } from '../../codec/codec-name.js';
import { FedStreamError } from '../../core/errors.js';
import { builtProgram } from '../../node/built-file.js';
import { nodeCodecs } from '../../node/codec/codecs.js';
import { type Supervised, supervise } from '../../node/process/child-process.js';
import { nodeFolder } from '../../node/storage/node-folder.js';
import { writeModel } from '../../tensor/model-folder.js';
import { MODEL_FILE } from '../../tensor/model-weights.js';
import { spoolInfo } from '../../transfer/spool.js';
import type { StreamingMode } from '../../transfer/streaming-mode.js';
import { modelBytes, modelShape } from './model-shape.js';
import { normalModel } from './normal-model.js';
import { RECEIVED_MODEL, RECEIVED_SPOOL, type SideReport, type SideSettings } from './transfer-side.js';

/** Options of the benchmark. */
export interface TransferBenchOptions {
  readonly model: string;
  readonly scale: number;
  readonly mode: StreamingMode;
  readonly codec: string;
  /** Holds the model and the files of the receiver meanwhile. */
  readonly folder: string;
  readonly sync: boolean;
  readonly signal: AbortSignal;
  onStep(what: string): void;
}

/** Figures of the benchmark. */
export interface TransferBench {
  readonly mode: StreamingMode;
  readonly codec: string;
  readonly driver: string;
  readonly modelBytes: number;
  /** Time from connecting until the receiver has the model, in the form of its mode. */
  readonly seconds: number;
  /** Time that `cp` of the model's file took, just before. */
  readonly cpSeconds: number;
  readonly wireBytes: number;
  /** True if sender, receiver and a second reading of the received file (if any) agree. */
  readonly digestOk: boolean;
  readonly sender: { readonly peakRssBytes: number };
  readonly receiver: { readonly peakRssBytes: number };
}

/** Makes the model, copies it, moves it, and measures both; throws `io` if a process fails. */
export async function benchTransfer(options: TransferBenchOptions): Promise<TransferBench> {
  const { mode, codec, folder, sync, signal, onStep } = options;
  parseCodecName(codec, nodeCodecs());
  const manifest = modelShape(options.model, options.scale);
  const source = join(folder, 'model');
  onStep('making the model');
  await writeModel(nodeFolder(source), normalModel(manifest, 1), Number.POSITIVE_INFINITY);
  signal.throwIfAborted();
  onStep('copying its file');
  const cpSeconds = await copySeconds(join(source, MODEL_FILE), join(folder, 'copy'), signal);
  onStep(`sending it: ${mode}, ${codec}`);
  const settings = { mode, codec, sync };
  const sides = await runSides({ ...settings, folder: source }, { ...settings, folder }, signal);
  const { sent, received } = sides;
  return {
    mode,
    codec,
    driver: 'tcp',
    modelBytes: modelBytes(manifest),
    seconds: received.seconds,
    cpSeconds,
    wireBytes: sent.wireBytes,
    digestOk: sent.digest === received.digest && (mode !== 'file' || (await arrivedAs(folder, sent.digest, manifest))),
    sender: { peakRssBytes: sides.senderRss },
    receiver: { peakRssBytes: sides.receiverRss },
  };
}

/**
 * Checks the files, besides the reports of the processes: the spool has the sender's digest, and
 * the decoded model the size of the original.
 */
async function arrivedAs(folder: string, digest: string, manifest: ReturnType<typeof modelShape>): Promise<boolean> {
  const disk = nodeFolder(folder);
  if ((await spoolInfo(disk, RECEIVED_SPOOL)).digest !== digest) return false;
  const decoded = await disk.sizeBytes(RECEIVED_MODEL);
  return decoded === undefined || decoded > modelBytes(manifest);
}

/**
 * Times `cp`. Pages that are still to be written are flushed first: they would slow the copy, and
 * those of the copy the transfer.
 */
async function copySeconds(from: string, to: string, signal: AbortSignal): Promise<number> {
  await command(['sync'], signal);
  const startedMs = performance.now();
  await command(['cp', from, to], signal);
  const seconds = (performance.now() - startedMs) / 1000;
  if (statSync(to).size !== statSync(from).size) throw new FedStreamError('io', `cp ${from} ${to} copied only a part`);
  rmSync(to);
  await command(['sync'], signal);
  return seconds;
}

function command([program, ...args]: string[], signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program as string, args, { stdio: 'inherit', signal });
    child.once('error', (cause) =>
      reject(signal.aborted ? signal.reason : new FedStreamError('io', `cannot run ${program}: ${cause.message}`)),
    );
    child.once('close', (code) => (code === 0 ? resolve() : reject(new FedStreamError('io', `${program} ended with ${code}`))));
  });
}

type Settings = Omit<SideSettings, 'url'>;
type Sent = Extract<SideReport, { sent: unknown }>;
type Received = Extract<SideReport, { received: unknown }>;

async function runSides(sender: Settings, receiver: Settings, signal: AbortSignal) {
  const running: Supervised[] = [];
  const abort = (): void => running.forEach((child) => void child.kill());
  signal.addEventListener('abort', abort, { once: true });
  try {
    let onListening: (url: string) => void = () => {};
    const listening = new Promise<string>((resolve) => {
      onListening = resolve;
    });
    const from = side('sender', { ...sender, url: 'tcp://127.0.0.1:0' }, onListening);
    running.push(from.child);
    const url = await Promise.race([listening, from.done.then(() => Promise.reject(new FedStreamError('internal', 'the sender ended')))]);
    const to = side('receiver', { ...receiver, url });
    running.push(to.child);
    const ends = (await Promise.all([from.done, to.done])) as [Sent, Received];
    return { sent: ends[0].sent, received: ends[1].received, senderRss: ends[0].peakRssBytes, receiverRss: ends[1].peakRssBytes };
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener('abort', abort);
    for (const child of running) child.kill();
  }
}

/**
 * Starts a side; `done` resolves with its last report once it has ended, or rejects with the
 * reason.
 */
function side(name: 'sender' | 'receiver', settings: SideSettings, onListening: (url: string) => void = () => {}) {
  let last: SideReport | undefined;
  const child = supervise({
    name,
    command: [process.execPath, ...process.execArgv, builtProgram(`transfer-${name}`), JSON.stringify(settings)],
    logFile: join(settings.folder, `${name}.log`),
    onLine(line) {
      const report = JSON.parse(line) as SideReport;
      if ('listening' in report) onListening(report.listening);
      else last = report;
    },
  });
  const done = child.exited.then((code) => {
    if (code === 0 && last) return last;
    throw new FedStreamError('io', `the ${name} failed (${code}): ${child.lastLines() || 'it said nothing'}`);
  });
  done.catch(() => {});
  return { child, done };
}
